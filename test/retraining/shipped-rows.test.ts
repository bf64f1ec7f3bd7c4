import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { insertPipeline } from '../../src/registry/pipeline-versions.ts';
import { promote } from '../../src/registry/promotions.ts';
import { checkShippedRowsFit } from '../../src/retraining/shipped-rows.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { contractOf, loadWines, wines } from '../support/declaration.ts';

const trained = trainPipeline(loadWines(), { contract: wines, alpha: 1, seed: 0 });

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
beforeEach(() => database.query('truncate ml_pipeline cascade'));

/** Promotes a version that declares this, whatever it was trained on. */
function serve(declaration: object | null): Promise<void> {
  return transaction(pool, async (client) => {
    const version = await insertPipeline(client, trained, { now: new Date() });
    await client.query('update ml_pipeline set declaration = $1 where pipeline_version = $2', [declaration, version]);
    await promote(client, version, { now: new Date(), promotedBy: 'test', reason: 'test' });
  });
}

const told = { ...wines.declaration, description: 'As an earlier version of Ridgeline described it' };

describe('the rows that ship are those of', () => {
  test.each<[string, object | null]>([
    ['their own declaration', wines.declaration],
    ['none, from the time before declarations were stored', null],
    ['the same in other words', told],
  ])('%s', async (_, declaration) => {
    await serve(declaration);
    await checkShippedRowsFit(pool, wines);
  });

  test('a database without any version', async () => {
    await checkShippedRowsFit(pool, wines);
  });
});

test.each<[string, object]>([
  ['another data set', contractOf([{ name: 'size', dtype: 'float64' }]).declaration],
  [
    'a pipeline with one feature more',
    { ...wines.declaration, features: [...wines.features, { name: 'age', dtype: 'int64', optional: true }] },
  ],
  [
    'one feature of another kind',
    {
      ...wines.declaration,
      features: wines.features.map((one) => ({ ...one, kind: one.name === 'oak' ? 'numerical' : one.kind })),
    },
  ],
])('those of %s are not there, and it is said what to do', async (_, declaration) => {
  await serve(declaration);
  await expect(checkShippedRowsFit(pool, wines)).rejects.toMatchObject({
    code: 'training_data',
    message:
      'The served version takes rows of test; the rows that ship are of test, and others are not labelled. ' +
      'Train by hand: npm run train -- --data FILE.csv.',
  });
});
