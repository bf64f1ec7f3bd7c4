import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPool, type Pool, type Queryable } from '../../../src/database/pool.ts';
import { findPrediction } from '../../../src/prediction-log/postgres/find-prediction.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

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

async function store(at: Date, prediction: number): Promise<string> {
  const id = v7({ msecs: at.getTime() });
  const columns = ['crim', 'zn', 'indus', 'chas', 'nox', 'rm', 'age', 'dis', 'rad', 'tax', 'ptratio', 'b', 'lstat'];
  await database.query(
    `insert into predictions (id, created_at, prediction, pipeline_version, ${columns.join()})
     values ($1, $2, $3, 'v1', ${columns.map((_, i) => i + 0.5)})`,
    [id, at.toISOString().replace(/^\+0/, ''), prediction],
  );
  return id;
}

describe('a stored prediction', () => {
  test.each([
    new Date('2026-11-22T10:00:00.123Z'),
    // The first and the last times that an id can hold, which have no partition of their own.
    new Date(0),
    new Date(2 ** 48 - 1),
  ])('of %o is found by its id and time, with every digit', async (at) => {
    const id = await store(at, 1 / 3);
    const found = await findPrediction(pool, id, at);
    expect(found).toMatchObject({ prediction: 1 / 3, pipelineVersion: 'v1' });
    expect(found!.columns).toMatchObject({ id, crim: 0.5, chas: 4, lstat: 12.5 });
    expect(await findPrediction(pool, id, new Date(at.getTime() - 1))).toBeUndefined();
    expect(await findPrediction(pool, v7({ msecs: at.getTime() }), at)).toBeUndefined();
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
    await findPrediction(explained, v7({ msecs: now.getTime() }), now);
    const month = now.toISOString().slice(0, 7).replace('-', '_');
    expect([...new Set(plan.match(/predictions_\w+(?= predictions)/g))]).toEqual([`predictions_${month}`]);
  });
});
