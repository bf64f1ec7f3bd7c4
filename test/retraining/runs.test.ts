import { expect, test } from 'vitest';
import { createPool } from '../../src/database/pool.ts';
import { claimSlot, endAbandonedRuns, finishRun } from '../../src/retraining/runs.ts';
import { createTestDatabase } from '../support/database.ts';

test('a run whose scheduler was killed is ended by the next one, and no other is touched', async () => {
  const database = await createTestDatabase();
  const pool = createPool({ url: database.url, onError: () => undefined, max: 1 });
  const at = (hour: number) => new Date(Date.UTC(2026, 10, 20, hour));
  for (const hour of [1, 2]) expect(await claimSlot(pool, at(hour), at(hour))).toBe(true);
  expect(await claimSlot(pool, at(2), at(3))).toBe(false);
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
  await pool.end();
  await database.drop();
});
