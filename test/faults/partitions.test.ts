/** Months without a partition, and readers that hold up the making of one: no caller may notice, no row may be lost. */
import { Client } from 'pg';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { inForm, isShort } from './form.ts';
import { runLoad, startLoad } from './load.ts';
import { reportFault } from './report.ts';
import { prepareService, type Service } from './service.ts';
import { compareWithStored, expectNothingLost, storedWithin } from './verification.ts';

const CONNECTIONS = 4;
const STAGE_MS = inForm(4_000, 30_000);
/** Fewer than may be moved while the month still goes on (partitions.ts), with those of the load. */
const ROWS_LEFT = inForm(20_000, 50_000);

const MOVED = 'rows have moved from the default partition to their month';

async function monthsOf({ database }: Service): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    `select inhrelid::regclass::text as name from pg_inherits
     where inhparent = 'predictions'::regclass and inhrelid <> 'predictions_default'::regclass order by 1`,
  );
  return rows.map(({ name }) => name);
}

/** As if no process had lived for months: this month and those to come have no partition. */
async function forgetMonths(service: Service): Promise<string[]> {
  const months = await monthsOf(service);
  for (const name of months) await service.database.query(`drop table ${name}`);
  return months;
}

const rowsIn = async ({ database }: Service, table: string) =>
  (await database.query<{ rows: number }>(`select count(*)::int as rows from ${table}`))[0]!.rows;

describe('predictions have no partition', { concurrent: isShort }, () => {
  test('months have gone by, and rows of this one are in the default', async ({ onTestFinished }) => {
    const service = await prepareService({ onTestFinished });
    const months = await forgetMonths(service);
    const columns = (
      await service.database.query<{ name: string }>(
        `select attname as name from pg_attribute where attrelid = 'predictions'::regclass and attnum > 0
         and format_type(atttypid, atttypmod) in ('double precision', 'bigint') order by attnum`,
      )
    ).map(({ name }) => name);
    await service.database.query(
      `insert into predictions (id, created_at, pipeline_version, ${columns.join(', ')})
       select gen_random_uuid(), now(), 'before', ${columns.map(() => 'i').join(', ')} from generate_series(1, ${ROWS_LEFT}) as i`,
    );
    const { url } = await service.start({ PREDICTION_LOG: 'sync' });
    const load = await runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
    await eventually(async () => (await monthsOf(service)).length === months.length, 60_000);
    const stored = await storedWithin(service.database, load.answers, 30_000);
    reportFault({
      fault: `no process for months, ${ROWS_LEFT.toLocaleString('en-US')} rows of this one in the default (sync)`,
      load: `${CONNECTIONS} connections, closed loop`,
      requests: load.requests(),
      failures: load.failures.length,
      stored,
    });
    expect(load.failures.slice(0, 3)).toEqual([]);
    expectNothingLost(stored);
    expect(await monthsOf(service)).toEqual(months);
    expect(await rowsIn(service, 'predictions_default')).toBe(0);
    expect(await rowsIn(service, months[0]!)).toBe(ROWS_LEFT + load.answers.length);
    expect(service.logged(MOVED)).toBe(1);
  });

  test('a reader that does not end holds up a new month', async ({ onTestFinished }) => {
    const service = await prepareService({ onTestFinished });
    const months = await monthsOf(service);
    const held = months.at(-1)!;
    await service.database.query(`drop table ${held}`);
    const reader = new Client({ connectionString: service.database.url });
    reader.on('error', () => undefined);
    await reader.connect();
    onTestFinished(() => reader.end());
    await reader.query('begin; select count(*) from predictions');

    const { url } = await service.start({ PREDICTION_LOG: 'sync' });
    const startedAt = Date.now();
    const load = startLoad({ url, connections: CONNECTIONS });
    await eventually(async () => service.logged('partitions of months are not as they should be') > 0, 30_000);
    const waited = load.p99(startedAt, Date.now());
    expect(await monthsOf(service)).not.toContain(held);
    await reader.query('commit');
    const endedAt = Date.now();
    await eventually(async () => (await monthsOf(service)).includes(held), 90_000);
    const recoverySeconds = (Date.now() - endedAt) / 1000;
    await load.stop();
    const stored = await compareWithStored(service.database, load.answers);
    reportFault({
      fault: 'a new month behind an open read transaction (sync)',
      load: `${CONNECTIONS} connections, closed loop`,
      requests: load.requests(),
      failures: load.failures.length,
      stored,
      recoverySeconds,
      note: `p99 of the callers meanwhile ${waited.toFixed(0)} ms`,
    });
    expect(load.failures.slice(0, 3)).toEqual([]);
    expectNothingLost(stored);
  });
});
