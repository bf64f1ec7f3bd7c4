import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPool, type Pool, type Queryable } from '../../src/database/pool.ts';
import { readLabel } from '../../src/ground-truth/read-label.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

describe('the label of a prediction', () => {
  test.each([24.125, null])('is read as it is stored: %s', async (actual) => {
    const predictedAt = new Date('2026-11-22T10:00:00.123Z');
    const observedAt = new Date('2026-11-23T10:00:00.456Z');
    const id = v7({ msecs: predictedAt.getTime() });
    await database.query(
      `insert into ground_truth (prediction_id, predicted_at, actual, observed_at, received_at, revision)
       values ($1, $2, $3, $4, $4, 3)`,
      [id, predictedAt, actual, observedAt],
    );
    expect(await readLabel(pool, id, predictedAt)).toEqual({ actual, observedAt, revision: 3 });
    expect(await readLabel(pool, v7({ msecs: predictedAt.getTime() }), predictedAt)).toBeUndefined();
  });

  test('is looked for in one partition', async () => {
    let plan = '';
    const explained: Queryable = {
      async query(text, values) {
        const { rows } = await pool.query(`explain (analyze, costs off, timing off) ${text}`, values);
        plan = rows.map((row) => row['QUERY PLAN']).join('\n');
        return { rows: [] };
      },
    };
    const now = new Date();
    await readLabel(explained, v7({ msecs: now.getTime() }), now);
    const month = now.toISOString().slice(0, 7).replace('-', '_');
    expect([...new Set(plan.match(/ground_truth_\w+(?= ground_truth)/g))]).toEqual([`ground_truth_${month}`]);
  });
});
