import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { emptyOldArtefacts } from '../../src/registry/old-artefacts.ts';
import { insertPipeline } from '../../src/registry/pipeline-versions.ts';
import { promote } from '../../src/registry/promotions.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { loadWines, wines } from '../support/declaration.ts';

let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined, max: 2 });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

test('only versions that are older than 90 days and were never promoted lose their artefact, and only that', async () => {
  const now = new Date('2027-06-01T00:00:00Z');
  const pipeline = trainPipeline(loadWines(), { contract: wines, alpha: 1, seed: 0 });
  async function publishedAgo(days: number, isPromoted = false): Promise<string> {
    const version = await transaction(pool, async (client) => {
      const name = await insertPipeline(client, pipeline, { now: new Date() });
      if (isPromoted) await promote(client, name, { now: new Date(), promotedBy: 'me', reason: 'once' });
      return name;
    });
    const at = new Date(now.getTime() - days * 24 * 60 * 60_000);
    await database.query('update ml_pipeline set created_at = $2 where pipeline_version = $1', [version, at]);
    return version;
  }
  await publishedAgo(400, true);
  const [old, older] = [await publishedAgo(90.01), await publishedAgo(400)];
  await publishedAgo(89.99);
  const before = await database.query('select * from ml_pipeline order by pipeline_version');
  const empty = () => transaction(pool, (client) => emptyOldArtefacts(client, now));
  expect((await empty()).sort()).toEqual([old, older]);
  const after = await database.query('select * from ml_pipeline order by pipeline_version');
  expect(after).toEqual(
    before.map((row) =>
      [old, older].includes(row.pipeline_version as string) ? { ...row, artefact: Buffer.alloc(0) } : row,
    ),
  );
  expect(await empty()).toEqual([]);
});
