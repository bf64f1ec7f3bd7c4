import { mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Contract } from '../../src/contract/contract.ts';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { loadPredictor, type Predictor } from '../../src/inference/predictor.ts';
import { publish } from '../../src/publishing/publish.ts';
import { insertPipeline, type NewPipeline, type PipelineArtefact } from '../../src/registry/pipeline-versions.ts';
import { promote } from '../../src/registry/promotions.ts';
import { createServedPipeline, type ServedPipeline } from '../../src/registry/served-pipeline.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { contractOf, loadWines, wines } from '../support/declaration.ts';
import { createNotedLog, type NotedLine } from '../support/noted-log.ts';

/** The first row: which pipeline answers shows in its score. */
const wine = loadWines().X.data.slice(0, wines.features.length);

let database: TestDatabase;
let pool: Pool;
let modelsDir: string;
const trained: NewPipeline[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined, max: 2 });
  for (const alpha of [1, 10, 100]) {
    trained.push(trainPipeline(loadWines(), { contract: wines, alpha, seed: 0 }));
  }
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
beforeEach(async () => {
  modelsDir = join(await mkdtemp(join(tmpdir(), 'ridgeline-served-')), 'models');
});
afterEach(async () => {
  for (const { served } of servers.splice(0)) await served.close();
  await rm(join(modelsDir, '..'), { recursive: true });
  await database.query('truncate ml_pipeline cascade');
});

interface Server {
  served: ServedPipeline<Predictor>;
  /** The versions that were loaded, and those that were retired, in order. */
  loaded: string[];
  retired: string[];
  logged: NotedLine[];
  /** Whether the database is. */
  isAway: boolean;
}
const servers: Server[] = [];

/** What a server has: the real predictor and database, with a note of what is loaded and retired. */
function startServer({ directory = modelsDir, onLoad = async () => {}, isAway = false } = {}): Server {
  const [loaded, retired]: [string[], string[]] = [[], []];
  const { log, lines: logged } = createNotedLog();
  const served: Server['served'] = createServedPipeline<Predictor>({
    clock: systemClock,
    shipped: wines,
    async load(pipeline: PipelineArtefact, contract: Contract) {
      loaded.push(pipeline.pipelineVersion);
      const predictor = await loadPredictor(pipeline, contract);
      await onLoad();
      return {
        ...predictor,
        retire() {
          retired.push(pipeline.pipelineVersion);
          predictor.retire();
        },
      };
    },
    database: { query: (...asked) => (server.isAway ? Promise.reject(new Error('it is away')) : pool.query(...asked)) },
    modelsDir: directory,
    log,
  });
  const server: Server = { served, loaded, retired, logged, isAway };
  servers.push(server);
  return server;
}

/** Publishes and promotes; its files go elsewhere, so that the server's own writing shows. */
async function publishVersion(which: number): Promise<string> {
  const { pipelineVersion } = await publish(trained[which]!, {
    transaction: (work) => transaction(pool, work),
    modelsDir: join(modelsDir, '..', 'published'),
    now: new Date(),
    promotedBy: 'test',
    reason: 'test',
    shipped: wines,
  });
  return pipelineVersion;
}

/** A pipeline of fewer features, whose rows are no wines. */
const cellars = contractOf(
  ['acidity', 'sugar'].map((name) => ({ name, dtype: 'float64' })),
  { name: 'score' },
);

async function publishCellars(): Promise<string> {
  const { X, y } = loadWines();
  const data = Float64Array.from(
    { length: 2 * X.rows },
    (_, i) => X.data[(i >> 1) * X.columns + (i % 2 === 0 ? 0 : 2)]!,
  );
  const pipeline = trainPipeline(
    { X: { rows: X.rows, columns: 2, data }, y },
    { contract: cellars, alpha: 1, seed: 0 },
  );
  return await transaction(pool, async (client) => {
    const version = await insertPipeline(client, pipeline, { now: new Date() });
    await promote(client, version, { now: new Date(), promotedBy: 'test', reason: 'another contract' });
    return version;
  });
}

async function promoteAgain(version: string): Promise<void> {
  await transaction(pool, (client) =>
    promote(client, version, { now: new Date(), promotedBy: 'test', reason: 'again' }),
  );
}

async function rejectionOf(version: string): Promise<{ rejected_at: Date | null; rejected_reason: string | null }> {
  const [row] = await database.query<{ rejected_at: Date | null; rejected_reason: string | null }>(
    'select rejected_at, rejected_reason from ml_pipeline where pipeline_version = $1',
    [version],
  );
  return row!;
}

async function expectServed({ served }: Server, version: string, which: number): Promise<void> {
  expect(served.current()?.pipelineVersion).toBe(version);
  const [score] = served.current()!.predict(wine.slice(), 1);
  expect(score).toBeCloseTo(trained[which]!.goldenRows.predictions[0]!, 9);
}

const breakHash = (version: string) =>
  database.query(
    'update ml_pipeline set artefact = set_byte(artefact, 200, get_byte(artefact, 200) # 1) where pipeline_version = $1',
    [version],
  );
const breakGoldenRows = (version: string) =>
  database.query(
    `update ml_pipeline set golden_rows = jsonb_set(golden_rows, '{predictions,2}', '1e6') where pipeline_version = $1`,
    [version],
  );

test('before the first promotion nothing is served, and that is no error', async () => {
  const { served, loaded } = startServer();
  await served.refresh();
  expect(served.current()).toBeUndefined();
  expect(served.rejection()).toBeUndefined();
  expect(loaded).toEqual([]);
});

describe('a promotion', () => {
  test('is served, and the version before it is retired', async () => {
    const server = startServer();
    const first = await publishVersion(0);
    await server.served.refresh();
    await expectServed(server, first, 0);
    const second = await publishVersion(1);
    await server.served.refresh();
    await expectServed(server, second, 1);
    expect(server.loaded).toEqual([first, second]);
    expect(server.retired).toEqual([first]);
    const { sha256 } = trained[1]!;
    expect(server.served.facts()).toEqual({ served: { pipelineVersion: second, sha256 }, swaps: 2, refusals: 0 });
  });

  test('of an older version rolls back', async () => {
    const server = startServer();
    const first = await publishVersion(0);
    await publishVersion(1);
    await server.served.refresh();
    await promoteAgain(first);
    await server.served.refresh();
    await expectServed(server, first, 0);
  });

  test('of the version that is served loads nothing', async () => {
    const server = startServer();
    const first = await publishVersion(0);
    await server.served.refresh();
    await promoteAgain(first);
    await server.served.refresh();
    await server.served.refresh();
    expect(server.loaded).toEqual([first]);
  });

  test('is written to models/ with the name of the version that was served last', async () => {
    const server = startServer();
    await publishVersion(0);
    await server.served.refresh();
    const second = await publishVersion(1);
    await server.served.refresh();
    expect(JSON.parse(await readFile(join(modelsDir, 'last_served.json'), 'utf8'))).toEqual({
      pipeline_version: second,
    });
    expect(await readdir(modelsDir)).toHaveLength(5);
    expect(await readFile(join(modelsDir, `pipeline_${second}.onnx`))).toEqual(Buffer.from(trained[1]!.artefact));
  });

  test('is served where models/ cannot be written, with a warning', async () => {
    await writeFile(join(modelsDir, '..', 'occupied'), '');
    const server = startServer({ directory: join(modelsDir, '..', 'occupied', 'models') });
    const version = await publishVersion(0);
    await server.served.refresh();
    await expectServed(server, version, 0);
    expect(server.logged.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });

  test('that comes while another is being loaded is served by the same refresh', async () => {
    let second = '';
    const server: Server = startServer({
      onLoad: async () => {
        if (second) return;
        second = await publishVersion(1);
        // The notice arrives: whoever asks now shares the refresh under way.
        joined = server.served.refresh();
      },
    });
    let joined: Promise<void> | undefined;
    const first = await publishVersion(0);
    await server.served.refresh();
    await joined;
    await expectServed(server, second, 1);
    expect(server.loaded).toEqual([first, second]);
  });

  test('is loaded once, however many ask for it at the same time', async () => {
    const server = startServer();
    const version = await publishVersion(0);
    await Promise.all([server.served.refresh(), server.served.refresh(), server.served.refresh()]);
    expect(server.loaded).toEqual([version]);
  });
});

describe('a bad version never takes over:', () => {
  /** Serves version 0, publishes version 1, spoils it, and lets the server find it. */
  async function serveAndSpoil(spoil: (version: string) => Promise<unknown>) {
    const server = startServer();
    const good = await publishVersion(0);
    await server.served.refresh();
    const bad = await publishVersion(1);
    await spoil(bad);
    await server.served.refresh();
    return { server, good, bad };
  }

  test.each([
    ['other bytes than were published', breakHash, /have SHA-256/, 0],
    ['golden rows that are not reproduced', breakGoldenRows, /Golden row 3 gives/, 1],
    [
      'an artefact that is no ONNX, with the right hash',
      (version: string) =>
        database.query(
          `update ml_pipeline set artefact = 'no model', sha256 = encode(sha256('no model'), 'hex') where pipeline_version = $1`,
          [version],
        ),
      /not an ONNX file/,
      1,
    ],
    [
      'golden rows of another form',
      (version: string) =>
        database.query(`update ml_pipeline set golden_rows = '{}' where pipeline_version = $1`, [version]),
      /golden rows/i,
      1,
    ],
  ])('%s', async (_, spoil, reason, loads) => {
    const { server, good, bad } = await serveAndSpoil(spoil);
    await expectServed(server, good, 0);
    expect(server.retired).toEqual([]);
    expect(server.served.rejection()).toEqual({ pipelineVersion: bad, reason: expect.stringMatching(reason) });
    const recorded = await rejectionOf(bad);
    expect(recorded.rejected_reason).toBe(server.served.rejection()!.reason);
    expect(recorded.rejected_at).toBeInstanceOf(Date);
    expect(server.loaded.filter((version) => version === bad)).toHaveLength(loads);
    expect((await rejectionOf(good)).rejected_at).toBeNull();
    expect(await readdir(modelsDir)).not.toContain(`pipeline_${bad}.onnx`);
  });

  test('it is not tried again for the same promotion, and is for a new one', async () => {
    const { server, good, bad } = await serveAndSpoil(breakGoldenRows);
    const tries = () => server.loaded.filter((version) => version === bad).length;
    await server.served.refresh();
    await server.served.refresh();
    expect(tries()).toBe(1);
    expect(server.logged.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect(server.served.facts()).toMatchObject({ served: { pipelineVersion: good }, swaps: 1, refusals: 1 });
    await promoteAgain(bad);
    await server.served.refresh();
    expect(tries()).toBe(2);
    expect(server.served.facts()).toMatchObject({ served: { pipelineVersion: good }, swaps: 1, refusals: 2 });
  });

  test('once it is repaired, a new promotion serves it and the rejection is over', async () => {
    const { server, bad } = await serveAndSpoil(breakGoldenRows);
    await database.query('update ml_pipeline set golden_rows = $1 where pipeline_version = $2', [
      trained[1]!.goldenRows,
      bad,
    ]);
    await promoteAgain(bad);
    await server.served.refresh();
    await expectServed(server, bad, 1);
    expect(server.served.rejection()).toBeUndefined();
  });

  test('the first recorded reason stays', async () => {
    const { server, bad } = await serveAndSpoil(breakGoldenRows);
    const first = await rejectionOf(bad);
    await breakHash(bad);
    await promoteAgain(bad);
    await server.served.refresh();
    expect(server.served.rejection()!.reason).toContain('SHA-256');
    expect(await rejectionOf(bad)).toEqual(first);
  });

  test('a promotion of the version that serves ends the rejection', async () => {
    const { server, good } = await serveAndSpoil(breakHash);
    await promoteAgain(good);
    await server.served.refresh();
    await expectServed(server, good, 0);
    expect(server.served.rejection()).toBeUndefined();
    expect(server.loaded).toEqual([good]);
  });

  test('the next good version is served', async () => {
    const { server, good } = await serveAndSpoil(breakHash);
    const next = await publishVersion(2);
    await server.served.refresh();
    await expectServed(server, next, 2);
    expect(server.retired).toEqual([good]);
  });

  test('where nothing is served yet, nothing is served', async () => {
    const server = startServer();
    await breakHash(await publishVersion(0));
    await server.served.refresh();
    expect(server.served.current()).toBeUndefined();
    expect(server.served.rejection()).toBeDefined();
  });
});

test('while the database is away a refresh rejects, the version serves on, and the next refresh works', async () => {
  const server = startServer();
  const version = await publishVersion(0);
  await server.served.refresh();
  await database.query('alter table ml_pipeline_promotion rename to elsewhere');
  await expect(server.served.refresh()).rejects.toThrow(/ml_pipeline_promotion/);
  await expectServed(server, version, 0);
  await database.query('alter table elsewhere rename to ml_pipeline_promotion');
  const next = await publishVersion(1);
  await server.served.refresh();
  await expectServed(server, next, 1);
});

describe('a version of another contract', () => {
  test('is served beside the last one of the contract before, whose rows it cannot run', async () => {
    const server = startServer();
    const ofWines = await publishVersion(0);
    await server.served.refresh();
    const ofCellars = await publishCellars();
    await server.served.refresh();
    expect(server.served.current()).toMatchObject({ pipelineVersion: ofCellars, contract: { text: cellars.text } });
    expect(server.served.forContract(wines)?.pipelineVersion).toBe(ofWines);
    expect(server.retired).toEqual([]);
    // Back: what had been kept is released at once, as its successor runs the same rows.
    await promoteAgain(ofWines);
    await server.served.refresh();
    expect(server.served.forContract(wines)).toBe(server.served.current());
    expect(server.retired).toEqual([ofWines]);
    await server.served.close();
    expect(server.retired.sort()).toEqual([ofWines, ofWines, ofCellars].sort());
  });

  test('shares its contract with the versions of the same declaration, whatever the order of its keys', async () => {
    const server = startServer();
    await publishCellars();
    await server.served.refresh();
    const { contract } = server.served.current()!;
    const next = await publishCellars();
    await database.query('update ml_pipeline set declaration = $1 where pipeline_version = $2', [
      Object.fromEntries(Object.entries(cellars.declaration).reverse()),
      next,
    ]);
    await server.served.refresh();
    expect(server.served.current()).toMatchObject({ pipelineVersion: next });
    expect(server.served.current()!.contract).toBe(contract);
    expect(server.served.forContract(contract)?.pipelineVersion).toBe(next);
  });

  test('is served from models/, where its declaration is too', async () => {
    const version = await publishCellars();
    await startServer().served.refresh();
    const { served } = startServer({ isAway: true });
    await expect(served.refresh()).rejects.toThrow('it is away');
    expect(served.current()).toMatchObject({ pipelineVersion: version, contract: { text: cellars.text } });
  });

  test('has the contract that ships where it was published before declarations were stored', async () => {
    const version = '2026_11_20__10_00_00';
    const { artefact, sha256, hyperparameters, metrics, dataSha256, codeSha256, goldenRows, featureProfile } =
      trained[0]!;
    // The statement of the version before, which may still be at work beside this one.
    await database.query(
      `insert into ml_pipeline (pipeline_version, artefact, sha256, hyperparameters, metrics, data_sha256, code_sha256,
         golden_rows, feature_profile) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [version, artefact, sha256, hyperparameters, metrics, dataSha256, codeSha256, goldenRows, featureProfile],
    );
    await database.query(
      `insert into ml_pipeline_promotion (pipeline_version, promoted_by, reason) values ($1, 'train', 'new training')`,
      [version],
    );
    const server = startServer();
    await server.served.refresh();
    await expectServed(server, version, 0);
    expect(server.served.current()!.contract).toBe(wines);
    const manifest = JSON.parse(await readFile(join(modelsDir, `pipeline_${version}.json`), 'utf8')) as object;
    expect(manifest).toMatchObject({ declaration: null });
    // As it was written by a server of then.
    await writeFile(
      join(modelsDir, `pipeline_${version}.json`),
      JSON.stringify({ ...manifest, declaration: undefined }),
    );
    const { served } = startServer({ isAway: true });
    await expect(served.refresh()).rejects.toThrow('it is away');
    expect(served.current()!.contract).toBe(wines);
  });

  test.each([
    ['a key of a later version', `declaration || '{"retention": 30}'`, /: retention is not known to this version/],
    ['another task', `jsonb_set(declaration, '{output,task}', '"classification"')`, /output\.task/],
    ['another type', `jsonb_set(declaration, '{features,0,dtype}', '"float32"')`, /features\[0\]\.dtype/],
    ['no object', `'[]'`, /declaration cannot be served here/],
    ['more than is read', `jsonb_build_object('name', repeat('x', 5000000))`, /The declaration has 50\d+ bytes/],
  ])(
    'that cannot be served, with %s, is rejected with a sentence, and the one before serves on',
    async (_, made, why) => {
      const server = startServer();
      const good = await publishVersion(0);
      await server.served.refresh();
      const bad = await publishCellars();
      await database.query(`update ml_pipeline set declaration = ${made} where pipeline_version = $1`, [bad]);
      await server.served.refresh();
      await expectServed(server, good, 0);
      expect(server.served.rejection()).toEqual({ pipelineVersion: bad, reason: expect.stringMatching(why) });
      expect(server.served.rejection()!.reason.length).toBeLessThan(700);
      expect((await rejectionOf(bad)).rejected_reason).toBe(server.served.rejection()!.reason);
    },
  );
});

describe('without the database', () => {
  /** Three versions of which a server has served all in turn, the given one last. */
  async function serveInTurn(last: number): Promise<string[]> {
    const server = startServer();
    const versions: string[] = [];
    for (const which of [0, 1, 2]) {
      versions.push(await publishVersion(which));
      await server.served.refresh();
    }
    await promoteAgain(versions[last]!);
    await server.served.refresh();
    return versions;
  }

  async function startWithoutDatabase(): Promise<Server> {
    const server = startServer({ isAway: true });
    await expect(server.served.refresh()).rejects.toThrow('it is away');
    return server;
  }

  test('the version that was served last is served, also when it is not the newest', async () => {
    const versions = await serveInTurn(0);
    const server = await startWithoutDatabase();
    await expectServed(server, versions[0]!, 0);
    expect(server.loaded).toEqual([versions[0]]);
  });

  test('the newest version is served when it is not known which was served last', async () => {
    const versions = await serveInTurn(0);
    await unlink(join(modelsDir, 'last_served.json'));
    const server = await startWithoutDatabase();
    await expectServed(server, versions[2]!, 2);
  });

  test('damaged versions are passed over with a warning each, until one can be served', async () => {
    const [v1, v2, v3] = await serveInTurn(1);
    const bytes = await readFile(join(modelsDir, `pipeline_${v2}.onnx`));
    bytes[300]! ^= 1;
    await writeFile(join(modelsDir, `pipeline_${v2}.onnx`), bytes);
    await writeFile(join(modelsDir, `pipeline_${v3}.json`), '{"half": ');
    const server = await startWithoutDatabase();
    await expectServed(server, v1!, 0);
    const warned = server.logged.filter(({ level }) => level === 'warn').map(({ fields }) => fields.pipelineVersion);
    expect(warned).toEqual([v2, v3]);
  });

  test('nothing is served where models/ is missing or holds nothing that can be served', async () => {
    const server = await startWithoutDatabase();
    expect(server.served.current()).toBeUndefined();
    const versions = await serveInTurn(0);
    for (const version of versions) await unlink(join(modelsDir, `pipeline_${version}.onnx`));
    await expect(server.served.refresh()).rejects.toThrow('it is away');
    expect(server.served.current()).toBeUndefined();
  });

  test('what is served already is kept', async () => {
    const versions = await serveInTurn(0);
    const server = startServer();
    await server.served.refresh();
    await promoteAgain(versions[2]!);
    server.isAway = true;
    await expect(server.served.refresh()).rejects.toThrow('it is away');
    expect(server.loaded).toEqual([versions[0]]);
  });

  test('a version from disk is replaced by the promoted one as soon as the database answers', async () => {
    const versions = await serveInTurn(0);
    const server = await startWithoutDatabase();
    await promoteAgain(versions[1]!);
    server.isAway = false;
    await server.served.refresh();
    await expectServed(server, versions[1]!, 1);
    expect(server.retired).toEqual([versions[0]]);
  });
});

test('closing retires what is served', async () => {
  const { served, retired } = startServer();
  const version = await publishVersion(0);
  await served.refresh();
  await served.close();
  expect(served.current()).toBeUndefined();
  expect(retired).toEqual([version]);
});

test('closing waits for a refresh under way and retires what it brings', async () => {
  const { served, loaded, retired } = startServer();
  const version = await publishVersion(0);
  const refreshing = served.refresh();
  await served.close();
  await refreshing;
  expect([loaded, retired]).toEqual([[version], [version]]);
  expect(served.current()).toBeUndefined();
});
