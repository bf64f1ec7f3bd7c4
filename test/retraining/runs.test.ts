import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createPool, type Pool } from '../../src/database/pool.ts';
import { claimSlot, endAbandonedRuns, finishRun, newestSlot, recordMissed } from '../../src/retraining/runs.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const cron = '0 * * * *';
const at = (hour: number) => new Date(Date.UTC(2026, 10, 20, hour));

let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined, max: 1 });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
beforeEach(() => pool.query('delete from retraining'));

test('a run whose scheduler was killed is ended by the next one, and no other is touched', async () => {
  for (const hour of [1, 2]) expect(await claimSlot(pool, at(hour), { cron, now: at(hour) })).toBe(true);
  expect(await claimSlot(pool, at(2), { cron, now: at(3) })).toBe(false);
  await finishRun(pool, at(1), { outcome: 'held', detail: 'chosen', now: at(1) });
  expect(await endAbandonedRuns(pool, at(4))).toBe(1);
  expect(await endAbandonedRuns(pool, at(5))).toBe(0);
  expect(
    await database.query('select slot, started_at, finished_at, outcome, detail from retraining order by slot'),
  ).toEqual([
    { slot: at(1), started_at: at(1), finished_at: at(1), outcome: 'held', detail: 'chosen' },
    {
      ...{ slot: at(2), started_at: at(2), finished_at: at(4), outcome: 'failed' },
      detail: 'Its scheduler ended before the training did.',
    },
  ]);
});

test('a slot that was missed is recorded once, and never over a run', async () => {
  await claimSlot(pool, at(1), { cron, now: at(1) });
  const missed = { slots: [at(1), at(2), at(3)], cron, detail: 'No scheduler ran then.', now: at(9) };
  expect(await recordMissed(pool, missed)).toBe(2);
  expect(await recordMissed(pool, missed)).toBe(0);
  expect(await database.query('select slot, finished_at, outcome, detail, cron from retraining order by slot')).toEqual(
    [
      { slot: at(1), finished_at: null, outcome: null, detail: null, cron },
      { slot: at(2), finished_at: at(9), outcome: 'missed', detail: 'No scheduler ran then.', cron },
      { slot: at(3), finished_at: at(9), outcome: 'missed', detail: 'No scheduler ran then.', cron },
    ],
  );
});

test('the newest slot counts where it was named by the same cron fields', async () => {
  expect(await newestSlot(pool, cron)).toBeUndefined();
  await claimSlot(pool, at(1), { cron, now: at(1) });
  expect(await newestSlot(pool, cron)).toEqual(at(1));
  await claimSlot(pool, at(2), { cron: '0 2 * * *', now: at(2) });
  expect(await newestSlot(pool, cron)).toBeUndefined();
  await pool.query('insert into retraining (slot) values ($1)', [at(3)]);
  expect(await newestSlot(pool, '0 2 * * *')).toBeUndefined();
});
