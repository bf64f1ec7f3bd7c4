import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { insertPipeline, markRejected, type NewPipeline } from '../../src/registry/pipeline-versions.ts';
import { promote } from '../../src/registry/promotions.ts';
import { findVersion, listVersions } from '../../src/registry/version-catalogue.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { loadWines, wines } from '../support/declaration.ts';

let database: TestDatabase;
let pool: Pool;
let pipeline: NewPipeline;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined, max: 2 });
  pipeline = trainPipeline(loadWines(), { contract: wines, alpha: 1, seed: 0 });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
afterEach(async () => {
  await database.query('truncate ml_pipeline cascade');
});

const now = new Date('2027-03-01T12:00:00Z');
const DAY_MS = 24 * 60 * 60_000;

/** A version that was published so many days ago. */
async function publishedAgo(days: number, { promoted = false, rejected = false } = {}): Promise<string> {
  const version = await transaction(pool, async (client) => {
    const name = await insertPipeline(client, pipeline, { now: new Date() });
    if (promoted)
      await promote(client, name, { action: 'train', now: new Date(), promotedBy: 'train', reason: 'new training' });
    return name;
  });
  if (rejected) await markRejected(pool, version, { reason: 'It is empty.', now: new Date() });
  const at = new Date(now.getTime() - days * DAY_MS);
  await database.query('update ml_pipeline set created_at = $2 where pipeline_version = $1', [version, at]);
  return version;
}

async function roles(): Promise<Record<string, string>> {
  const { pipelines } = await listVersions(pool, { limit: 200, now });
  return Object.fromEntries(pipelines.map(({ version, role }) => [version, role]));
}

describe('the role of a version', () => {
  test('is champion for what was promoted last, challenger for the two newest that never were', async () => {
    const old = await publishedAgo(3, { promoted: true });
    const third = await publishedAgo(2);
    const champion = await publishedAgo(1, { promoted: true });
    const [second, first] = [await publishedAgo(1), await publishedAgo(0)];
    expect(await roles()).toEqual({
      [old]: 'retired',
      [third]: 'retired',
      [champion]: 'champion',
      [second]: 'challenger',
      [first]: 'challenger',
    });
  });

  test('is challenger for 30 days', async () => {
    const [over, under] = [await publishedAgo(30.01), await publishedAgo(29.99)];
    expect(await roles()).toEqual({ [over]: 'retired', [under]: 'challenger' });
  });

  test('is rejected where a server has refused it; what serves in its stead is the champion', async () => {
    const champion = await publishedAgo(2, { promoted: true });
    const rejected = await publishedAgo(1, { promoted: true, rejected: true });
    const [challenger, other] = [await publishedAgo(1), await publishedAgo(1)];
    const both = { [await publishedAgo(0, { rejected: true })]: 'rejected', [rejected]: 'rejected' };
    expect(await roles()).toEqual({
      ...both,
      ...{ [champion]: 'champion', [challenger]: 'challenger', [other]: 'challenger' },
    });
  });
});

describe('the list', () => {
  test('comes in pages, the newest first, which together are all versions once', async () => {
    const versions: string[] = [];
    for (let i = 0; i < 5; i++) versions.push(await publishedAgo(0));
    const listed: string[] = [];
    const sizes: number[] = [];
    let before: string | undefined;
    do {
      const page = await listVersions(pool, { limit: 2, before, now });
      listed.push(...page.pipelines.map(({ version }) => version));
      sizes.push(page.pipelines.length);
      before = page.next ?? undefined;
    } while (before);
    expect(listed).toEqual(versions.toReversed());
    expect(sizes).toEqual([2, 2, 1]);
  });

  test('has no further page where the last one is full, and an empty one without versions', async () => {
    expect(await listVersions(pool, { limit: 2, now })).toEqual({ pipelines: [], next: null });
    for (let i = 0; i < 2; i++) await publishedAgo(0);
    expect((await listVersions(pool, { limit: 2, now })).next).toBeNull();
  });

  test('tells how each was trained, also those of servers that did not store it', async () => {
    const [old, version] = [await publishedAgo(1), await publishedAgo(0, { promoted: true })];
    await database.query('update ml_pipeline set training_rows = null where pipeline_version = $1', [old]);
    const expected = (name: string) => ({
      version: name,
      role: name === version ? 'champion' : 'challenger',
      created_at: new Date(now.getTime() - (name === version ? 0 : DAY_MS)).toISOString(),
      promoted_at: name === version ? expect.stringMatching(/^\d{4}-.*T.*\.\d{3}Z$/) : null,
      metrics: pipeline.metrics,
      training_rows: { shipped: 120, labelled: 0, duplicates: 0 },
      rejected_reason: null,
    });
    const { pipelines } = await listVersions(pool, { limit: 50, now });
    expect(pipelines).toEqual([expected(version), expected(old)]);
    await database.query("update ml_pipeline set metrics = metrics - 'rows' where pipeline_version = $1", [old]);
    const [, without] = (await listVersions(pool, { limit: 50, now })).pipelines;
    expect(without!.training_rows).toEqual({ shipped: null, labelled: 0, duplicates: 0 });
  });
});

describe('the details', () => {
  const details = (version: string) => findVersion(pool, version, { shipped: wines.declaration, now });

  test('are none of a version that is not there', async () => {
    expect(await details('2020_01_01__00_00_00')).toBeUndefined();
  });

  test('tell what a row of the version is, and every time that it was promoted, the newest first', async () => {
    const first = await publishedAgo(0, { promoted: true });
    const second = await publishedAgo(0, { promoted: true });
    await promote(pool, first, { now: new Date(), promotedBy: 'me', reason: 'it was better' });
    const dataFile = { name: 'wines.csv', sha256: 'a'.repeat(64), rows: 130, columns: 7 };
    await database.query('update ml_pipeline set data_file = $1', [dataFile]);
    expect(await details(first)).toMatchObject({
      version: first,
      declaration: wines.declaration,
      hyperparameters: { alpha: 1, seed: 0, folds: 10 },
      sha256: pipeline.sha256,
      trained_through: null,
      data_file: dataFile,
      gates: [],
      promotions: [
        { version: first, previous: second, action: 'hand', promoted_by: 'me', reason: 'it was better' },
        { version: first, previous: null, action: 'train', promoted_by: 'train', reason: 'new training' },
      ],
    });
  });

  test('have the shipped declaration where the version has none of its own', async () => {
    const version = await publishedAgo(0);
    await database.query('update ml_pipeline set declaration = null');
    expect((await details(version))!.declaration).toBe(wines.declaration);
  });

  test('tell the newest 50 promotions', async () => {
    const version = await publishedAgo(0);
    await database.query(
      `insert into ml_pipeline_promotion (pipeline_version, promoted_by, reason)
       select $1, 'me', i::text from generate_series(1, 60) as i`,
      [version],
    );
    const { promotions } = (await details(version))!;
    expect(promotions.map(({ reason }) => Number(reason))).toEqual(Array.from({ length: 50 }, (_, i) => 60 - i));
  });
});
