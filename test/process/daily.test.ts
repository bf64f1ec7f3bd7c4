import { afterEach, beforeEach, expect, test } from 'vitest';
import { withAdvisoryLock } from '../../src/database/advisory-lock.ts';
import { createJobCounts } from '../../src/metrics/job-counts.ts';
import { startDaily } from '../../src/process/daily.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createNotedLog } from '../support/noted-log.ts';

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
  await database.query("select ensure_predictions_month('2026-01-01')");
});
afterEach(() => database.drop());

const january = () => database.query("select to_regclass('predictions_2026_01') is not null as there");

/** Runs it once, until what it says is there or what it does is done. */
async function runOnce(
  keepMonths: number | undefined,
  { now = new Date(), until }: { now?: Date; until: (messages: string[]) => Promise<boolean> },
) {
  const { log, lines, messages } = createNotedLog();
  const daily = startDaily({
    databaseUrl: database.url,
    clock: { now: () => now },
    keepMonths,
    jobs: createJobCounts(),
    log,
  });
  await eventually(() => until(messages()));
  await daily.close();
  return lines.map(({ level, message, fields }) => ({ level, message, fields }));
}

test('months that are not kept are dropped at the start, and it says which', async () => {
  const lines = await runOnce(6, { until: async (messages) => messages.length > 0 });
  expect(lines).toEqual([
    {
      level: 'info',
      message: 'old predictions are removed',
      fields: { partition: 'predictions_2026_01', keepMonths: 6 },
    },
  ]);
  expect(await january()).toEqual([{ there: false }]);
});

test('without a number of months all are kept', async () => {
  const queries = async () =>
    Number(
      (
        await database.query(
          'select pg_stat_get_db_xact_commit(oid) as n from pg_database where datname = current_database()',
        )
      )[0]!.n,
    );
  const before = await queries();
  await runOnce(undefined, { until: async () => (await queries()) > before + 2 });
  expect(await january()).toEqual([{ there: true }]);
});

test('nothing is removed where the clocks are apart, and it says so', async () => {
  const lines = await runOnce(6, {
    now: new Date(Date.now() + 3 * 365 * 24 * 60 * 60_000),
    until: async (messages) => messages.length > 0,
  });
  expect(lines).toEqual([
    expect.objectContaining({ level: 'warn', fields: { reason: expect.stringContaining('more than a day apart') } }),
  ]);
  expect(await january()).toEqual([{ there: true }]);
});

test('one process does it while another is at it', async () => {
  await withAdvisoryLock(database.url, 'ridgeline_daily', { wait: true }, async () => {
    const { log } = createNotedLog();
    const daily = startDaily({
      databaseUrl: database.url,
      clock: { now: () => new Date() },
      keepMonths: 6,
      jobs: createJobCounts(),
      log,
    });
    await eventually(() =>
      database
        .query(
          "select from pg_stat_activity where query like 'select pg_try_advisory_lock%' and datname = current_database()",
        )
        .then(({ length }) => length > 0)
        .catch(() => false),
    ).catch(() => undefined);
    await daily.close();
  });
  expect(await january()).toEqual([{ there: true }]);
});
