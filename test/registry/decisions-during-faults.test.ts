/** What a server decides while something else is wrong, it decides again when that is over. */

import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createPool, type Pool, type Queryable, transaction } from '../../src/database/pool.ts';
import { loadPredictor, type Predictor } from '../../src/inference/predictor.ts';
import { MAX_ARTEFACT_BYTES } from '../../src/onnx/fence.ts';
import { writeArtefact } from '../../src/registry/artefacts.ts';
import { insertPipeline, type NewPipeline } from '../../src/registry/pipeline-versions.ts';
import { promote } from '../../src/registry/promotions.ts';
import { createServedPipeline, type ServedPipeline } from '../../src/registry/served-pipeline.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { loadWines, wines } from '../support/declaration.ts';
import { createNotedLog, type NotedLog } from '../support/noted-log.ts';

const trained: NewPipeline = trainPipeline(loadWines(), { contract: wines, alpha: 1, seed: 0 });
const damaged: NewPipeline = { ...trained, goldenRows: { features: [], predictions: [] } };

let database: TestDatabase;
let owner: Pool;
let root: string;
beforeAll(async () => {
  database = await createTestDatabase();
  owner = createPool({ url: database.url, onError: () => undefined, max: 2 });
});
afterAll(async () => {
  await owner.end();
  await database.drop();
});
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ridgeline-faults-'));
});
afterEach(async () => {
  for (const served of servers.splice(0)) await served.close();
  await database.query('truncate ml_pipeline cascade');
  await rm(root, { recursive: true });
});

const away: Queryable = { query: () => Promise.reject(new Error('connect ECONNREFUSED')) };
const servers: ServedPipeline<Predictor>[] = [];
let noted: NotedLog;

function startServer(
  database: Queryable = owner,
  { modelsDir = join(root, 'models'), load = loadPredictor } = {},
): ServedPipeline<Predictor> {
  noted = createNotedLog();
  const served = createServedPipeline<Predictor>({
    clock: systemClock,
    load,
    shipped: wines,
    database,
    modelsDir,
    log: noted.log,
  });
  servers.push(served);
  return served;
}

function publish(pipeline: NewPipeline): Promise<string> {
  return transaction(owner, async (client) => {
    const version = await insertPipeline(client, pipeline, { now: new Date() });
    await promote(client, version, { now: new Date(), promotedBy: 'test', reason: 'test' });
    return version;
  });
}

async function rejectedReason(version: string): Promise<string | null> {
  const rows = await database.query<{ rejected_reason: string | null }>(
    'select rejected_reason from ml_pipeline where pipeline_version = $1',
    [version],
  );
  return rows[0]!.rejected_reason;
}

describe('a bad newest version at a start,', () => {
  test('while the database is read-only: the one before is served, and the rejection is recorded afterwards', async () => {
    const good = await publish(trained);
    const bad = await publish(damaged);
    const client = new Client({ connectionString: database.url });
    await client.connect();
    await client.query('set default_transaction_read_only = on');
    const served = startServer(client);
    await served.refresh();
    await served.refresh();
    expect(served.current()?.pipelineVersion).toBe(good);
    expect(served.rejection()?.pipelineVersion).toBe(bad);
    expect(await rejectedReason(bad)).toBeNull();
    expect(noted.messages('error')).toEqual(['pipeline version is rejected; the previous one serves on']);
    expect(noted.messages('warn')).toEqual(['a rejection cannot be recorded yet; it is tried again']);
    await client.query('set default_transaction_read_only = off');
    await served.refresh();
    expect(await rejectedReason(bad)).toBe(served.rejection()?.reason);
    await client.end();
  });

  test('for a role that may not update: the one before is served, and a later good one takes over', async () => {
    const good = await publish(trained);
    await publish(damaged);
    await database.query(`do $$ begin create role ridgeline_reader; exception when duplicate_object then null; end $$`);
    await database.query('grant select on all tables in schema public to ridgeline_reader');
    const client = new Client({ connectionString: database.url });
    await client.connect();
    await client.query('set role ridgeline_reader');
    const served = startServer(client);
    await served.refresh();
    expect(served.current()?.pipelineVersion).toBe(good);
    const later = await publish(trained);
    await served.refresh();
    expect(served.current()?.pipelineVersion).toBe(later);
    expect(served.rejection()).toBeUndefined();
    await client.end();
    await database.query('drop owned by ridgeline_reader');
  });

  test('with its row held by somebody: the one before is served all the same', async () => {
    const good = await publish(trained);
    const bad = await publish(damaged);
    const holder = new Client({ connectionString: database.url });
    await holder.connect();
    await holder.query('begin');
    await holder.query('select from ml_pipeline where pipeline_version = $1 for update', [bad]);
    const served = startServer();
    await served.refresh();
    expect(served.current()?.pipelineVersion).toBe(good);
    await holder.query('commit');
    await holder.end();
    await served.refresh();
    expect(await rejectedReason(bad)).not.toBeNull();
  });

  test('without any other: the log says what is next, and a version published later is served', async () => {
    await publish(damaged);
    const served = startServer();
    await served.refresh();
    await served.refresh();
    expect(noted.messages('error')).toEqual([
      'pipeline version is rejected, and there is none to serve; publish one with npm run train',
    ]);
    const good = await publish(trained);
    await served.refresh();
    expect(served.current()?.pipelineVersion).toBe(good);
  });

  test('and the connection cut while an earlier one is read: the next refresh serves the earlier one', async () => {
    const good = await publish(trained);
    await publish(damaged);
    let cuts = 1;
    const cutting: Queryable = {
      query: (text, values) =>
        values?.[0] === good && cuts-- > 0
          ? Promise.reject(new Error('Connection terminated unexpectedly'))
          : owner.query(text, values),
    };
    const served = startServer(cutting);
    await expect(served.refresh()).rejects.toThrow(/terminated/);
    expect(served.current()).toBeUndefined();
    expect(noted.messages('error')).toHaveLength(1);
    await served.refresh();
    expect(served.current()?.pipelineVersion).toBe(good);
  });
});

test('where the row of the newest version cannot be read, the one before it is served, and the newest when it can', async () => {
  const good = await publish(trained);
  const newest = await publish(trained);
  let isBroken = true;
  const broken: Queryable = {
    query: (text, values) =>
      isBroken && values?.[0] === newest
        ? Promise.reject(new Error('missing chunk number 0 for toast value 16401'))
        : owner.query(text, values),
  };
  const served = startServer(broken);
  await expect(served.refresh()).rejects.toThrow(/missing chunk/);
  expect(served.current()?.pipelineVersion).toBe(good);
  isBroken = false;
  await served.refresh();
  expect(served.current()?.pipelineVersion).toBe(newest);
});

test('want of memory or of files while loading is no rejection: the version is served by a later refresh', async () => {
  const version = await publish(trained);
  let shortages = 2;
  const served = startServer(owner, {
    load: async (pipeline, contract) => {
      if (shortages-- > 0) throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
      return await loadPredictor(pipeline, contract);
    },
  });
  await served.refresh();
  await served.refresh();
  expect(served.current()).toBeUndefined();
  expect(served.rejection()).toEqual({ pipelineVersion: version, reason: 'EMFILE: too many open files' });
  expect(noted.messages('warn')).toEqual(['pipeline version cannot be loaded now; it is tried again']);
  expect(await rejectedReason(version)).toBeNull();
  await served.refresh();
  expect(served.current()?.pipelineVersion).toBe(version);
  expect(served.rejection()).toBeUndefined();
});

test('a promotion of a version that is not there is no rejection either', async () => {
  const good = await publish(trained);
  const served = startServer();
  await served.refresh();
  const missing = await publish(trained);
  await database.query('alter table ml_pipeline_promotion drop constraint ml_pipeline_promotion_pipeline_version_fkey');
  const [row] = await database.query<Record<string, unknown>>(
    'delete from ml_pipeline where pipeline_version = $1 returning *',
    [missing],
  );
  await served.refresh();
  expect(served.current()?.pipelineVersion).toBe(good);
  expect(served.rejection()?.reason).toBe('There is no such version.');
  const columns = Object.keys(row!);
  await owner.query(
    `insert into ml_pipeline (${columns}) values (${columns.map((_, i) => `$${i + 1}`)})`,
    Object.values(row!),
  );
  await database.query('alter table ml_pipeline_promotion add foreign key (pipeline_version) references ml_pipeline');
  await served.refresh();
  expect(served.current()?.pipelineVersion).toBe(missing);
});

test('a version that is larger than any is refused before its bytes are fetched', async () => {
  await publish(trained);
  const served = startServer();
  await served.refresh();
  const large = await publish(trained);
  await database.query(
    `update ml_pipeline set artefact = convert_to(repeat('x', $2), 'UTF8') where pipeline_version = $1`,
    [large, MAX_ARTEFACT_BYTES + 1],
  );
  await served.refresh();
  expect(served.rejection()?.reason).toMatch(/16777217 bytes; more than 16777216 are not taken/);
  const emptied = await publish({ ...trained, artefact: new Uint8Array(0) });
  await served.refresh();
  expect(served.rejection()).toMatchObject({ pipelineVersion: emptied });
});

describe('a version that declares other rows than its artefact takes', () => {
  const names = ['alcohol', ...wines.names.filter((name) => name !== 'alcohol')];
  const features = names.map((name) => wines.features.find((feature) => feature.name === name));
  const declaration = { ...trained.declaration, features } as NewPipeline['declaration'];
  const reason = expect.stringContaining('It expects acidity where alcohol is declared, as feature 1.');

  test('is rejected by name, from the database as from models/', async () => {
    const version = await publish({ ...trained, declaration });
    const served = startServer();
    await served.refresh();
    expect(served.current()).toBeUndefined();
    expect(served.rejection()).toEqual({ pipelineVersion: version, reason });

    await writeArtefact(join(root, 'models'), { ...trained, declaration, pipelineVersion: version });
    const alone = startServer(away);
    await expect(alone.refresh()).rejects.toThrow(/ECONNREFUSED/);
    expect(alone.current()).toBeUndefined();
    expect(noted.lines.at(-1)?.fields.reason).toEqual(reason);
  });

  test('is rejected on a roll back too', async () => {
    const old = await publish({ ...trained, declaration });
    const version = await publish(trained);
    const served = startServer();
    await served.refresh();
    await transaction(owner, (client) =>
      promote(client, old, { now: new Date(), promotedBy: 'test', reason: 'roll back' }),
    );
    await served.refresh();
    expect(served.current()?.pipelineVersion).toBe(version);
    expect(served.rejection()).toEqual({ pipelineVersion: old, reason });
  });
});

describe('models/', () => {
  test('is written as soon as it can be, with one warning until then', async () => {
    const occupied = join(root, 'occupied');
    await writeFile(occupied, '');
    const modelsDir = join(occupied, 'models');
    const version = await publish(trained);
    const served = startServer(owner, { modelsDir });
    await served.refresh();
    await served.refresh();
    expect(noted.messages('warn')).toHaveLength(1);
    await rm(occupied);
    await served.refresh();
    expect(await readdir(modelsDir)).toContain(`pipeline_${version}.onnx`);
    expect(noted.messages('info').at(-1)).toBe('the artefact is written to models/');
  });

  test('is looked at again while there is neither a database nor a version', async () => {
    const version = await publish(trained);
    await startServer().refresh();
    const modelsDir = join(root, 'models');
    await rename(modelsDir, join(root, 'not-mounted'));
    const served = startServer(away);
    await expect(served.refresh()).rejects.toThrow(/ECONNREFUSED/);
    expect(served.current()).toBeUndefined();
    await rename(join(root, 'not-mounted'), modelsDir);
    await expect(served.refresh()).rejects.toThrow(/ECONNREFUSED/);
    expect(served.current()?.pipelineVersion).toBe(version);
  });

  test('may hold pipes, directories and files of any size: they are passed over, each with one warning', async () => {
    const version = await publish(trained);
    await startServer().refresh();
    const modelsDir = join(root, 'models');
    execFileSync('mkfifo', [join(modelsDir, 'pipeline_9999_1.json')]);
    await mkdir(join(modelsDir, 'pipeline_9999_2.json'));
    await writeFile(join(modelsDir, 'pipeline_9999_3.json'), '');
    await truncate(join(modelsDir, 'pipeline_9999_3.json'), 2 ** 33);
    await writeFile(join(modelsDir, 'pipeline_9999_4.json'), JSON.stringify({ sha256: 'x', golden_rows: {} }));
    await writeFile(join(modelsDir, 'pipeline_9999_4.onnx'), '');
    await truncate(join(modelsDir, 'pipeline_9999_4.onnx'), 2 ** 33);
    await rm(join(modelsDir, 'last_served.json'));
    const served = startServer(away);
    await expect(served.refresh()).rejects.toThrow(/ECONNREFUSED/);
    expect(served.current()?.pipelineVersion).toBe(version);
    expect(noted.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields.reason)).toEqual([
      expect.stringMatching(/pipeline_9999_4\.onnx has 8589934592 bytes/),
      expect.stringMatching(/pipeline_9999_3\.json has 8589934592 bytes/),
      expect.stringMatching(/pipeline_9999_2\.json is not a file/),
      expect.stringMatching(/pipeline_9999_1\.json is not a file/),
    ]);
  });
});
