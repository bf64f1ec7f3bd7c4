/** Another pipeline version under load: good ones by the hundred, bad ones of every kind, notices that are lost. */
import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { onTestFinished as afterThisTest, describe, expect, test } from 'vitest';
import { fitPipeline } from '../../src/estimators/pipeline.ts';
import { housing } from '../../src/housing/features.ts';
import { exportPipeline } from '../../src/onnx/export-pipeline.ts';
import { decodeModel, encodeModel } from '../../src/onnx/messages.ts';
import { sha256Of } from '../../src/registry/artefacts.ts';
import type { NewPipeline } from '../../src/registry/pipeline-versions.ts';
import { type RawField, rawMessage } from '../onnx/models.ts';
import { eventually } from '../support/eventually.ts';
import { inForm, isShort } from './form.ts';
import { type Load, startLoad } from './load.ts';
import { answersOf, dataset, openRegistry, roles, train, wrongAnswers } from './pipelines.ts';
import { reportFault } from './report.ts';
import { prepareService, residentMiB, type Service } from './service.ts';
import { expectNothingLost, storedWithin } from './verification.ts';

const POLL_SECONDS = inForm(1, 2);
const FIRST_ALPHA = 1;
/** Seconds that a caller may have to wait for a new version: in the short form other faults go on beside it. */
const BUSY = 15;

describe('swaps under load', () => {
  const swaps = inForm(30, 500);

  test(`${swaps} promotions: no failure, every answer right for the version it names`, async () => {
    const { service, registry, expected, firstVersion } = await serve();
    const versions = [firstVersion];
    for (const alpha of [1_000, 1e6]) {
      const version = await registry.insert(train(alpha));
      expected.set(version, answersOf(alpha));
      versions.push(version);
    }
    const load = startLoad({ url: service.server.url, rate: inForm(500, 1_000) });
    const slowest = await swapAll(swaps, versions, registry, load, service);
    await load.stop();
    const wrong = wrongAnswers(load.answers, expected);
    const stored = await storedWithin(service.database, load.answers, 30_000);
    reportFault({
      fault: `${swaps} swaps`,
      load: `${inForm(500, 1_000)} requests/s`,
      requests: load.requests(),
      failures: load.failures.length + wrong,
      stored,
      recoverySeconds: slowest.seconds,
      note: `${wrong} wrong answers; recovery is the slowest swap; memory ${slowest.memoryMiB.toFixed(0)} MiB from the second fifth to the last`,
    });
    expect(load.failures.slice(0, 3)).toEqual([]);
    expect(wrong).toBe(0);
    expect(new Set(load.answers.map(({ version }) => version))).toEqual(new Set(versions));
    expectNothingLost(stored);
    // In the short form the memory of a process that has just started is still growing.
    if (swaps >= 500 && !Number.isNaN(slowest.memoryMiB)) expect(slowest.memoryMiB).toBeLessThan(20);
  });
});

describe('notices of promotions', () => {
  const rounds = inForm(3, 10);

  test.for([
    // Were it not for the notice, the new version would be served in an hour.
    { name: 'with NOTIFY', bar: inForm(BUSY, 1), pollSeconds: 3_600 },
    { name: 'NOTIFY lost', bar: inForm(BUSY, POLL_SECONDS + 1), silent: true },
    { name: "listener's connection in a black hole", bar: inForm(BUSY, POLL_SECONDS + 1), cut: true },
  ])(
    '$name: the new version is served within $bar s',
    async ({ name, bar, pollSeconds = POLL_SECONDS, silent = false, cut = false }) => {
      const { service, registry, expected, firstVersion } = await serve(afterThisTest, pollSeconds);
      const second = await registry.insert(train(1_000));
      expected.set(second, answersOf(1_000));
      const load = startLoad({ url: service.server.url, rate: 200 });
      await delay(500);
      let slowest = 0;
      for (let round = 0; round < (cut ? 1 : rounds); round++) {
        const version = round % 2 === 0 ? second : firstVersion;
        if (cut) expect(service.proxy.silence('listen "')).toBe(1);
        await (silent ? registry.promoteSilently(version) : registry.promote(version));
        const promotedAt = Date.now();
        await served(load, version);
        slowest = Math.max(slowest, (Date.now() - promotedAt) / 1000);
      }
      await load.stop();
      const wrong = wrongAnswers(load.answers, expected);
      reportFault({
        fault: `promotion, ${name}`,
        load: '200 requests/s',
        requests: load.requests(),
        failures: load.failures.length + wrong,
        recoverySeconds: slowest,
        note: `bar ${bar} s`,
      });
      expect(load.failures).toEqual([]);
      expect(wrong).toBe(0);
      expect(slowest).toBeLessThan(bar);
    },
  );
});

describe('bad versions', { concurrent: isShort }, () => {
  test.for(Object.entries(badPipelines()))(
    '%s: refused, the old one serves on, a good one recovers',
    async ([name, spoil], { onTestFinished }) => {
      const { service, registry, expected, firstVersion } = await serve(onTestFinished);
      const load = startLoad({ url: service.server.url, rate: 200 });
      const bad = await registry.insert(await spoil());
      await registry.promote(bad);
      await eventually(async () => (await registry.rejectionOf(bad)).reason, 5_000);
      const { at, reason } = await registry.rejectionOf(bad);
      const health = await service.health();
      const attempts = () => service.logged(/is rejected/);
      await delay(POLL_SECONDS * 2_000 + 500);
      const afterPolls = { at: (await registry.rejectionOf(bad)).at, attempts: attempts() };

      const good = await registry.insert(train(1_000));
      expected.set(good, answersOf(1_000));
      await registry.promote(good);
      const promotedAt = Date.now();
      await served(load, good);
      const recoverySeconds = (Date.now() - promotedAt) / 1000;
      await eventually(async () => (await service.health()).status === 'ok');
      // Promoted again it is judged again, and a roll back recovers as well.
      await registry.promote(bad);
      await eventually(async () => (await service.health()).status === 'degraded');
      await registry.promote(firstVersion);
      await served(load, firstVersion);
      await eventually(async () => (await service.health()).status === 'ok');
      await load.stop();
      const wrong = wrongAnswers(load.answers, expected);
      reportFault({
        fault: `bad version: ${name}`,
        load: '200 requests/s',
        requests: load.requests(),
        failures: load.failures.length + wrong,
        recoverySeconds,
        note: reason ?? 'not refused',
      });
      expect(load.failures).toEqual([]);
      expect(wrong).toBe(0);
      expect(health).toMatchObject({ status: 'degraded', model: 'ok', model_version: firstVersion });
      expect(health.refused_version?.model_version).toBe(bad);
      expect(afterPolls).toEqual({ at, attempts: 1 });
    },
  );

  test('a start while a bad version is promoted: the last good one is served', async ({ onTestFinished }) => {
    const { service, registry, expected, firstVersion } = await serve(onTestFinished);
    const bad = await registry.insert(await badPipelines()['weights that are not numbers']!());
    await registry.promote(bad);
    await eventually(async () => (await registry.rejectionOf(bad)).reason, 5_000);
    await service.kill();
    await service.start();
    const ready = await service.statusOf('/readyz');
    const load = startLoad({ url: service.server.url, rate: 200 });
    await delay(500);
    await load.stop();
    reportFault({
      fault: 'start while a bad version is promoted',
      load: '200 requests/s',
      requests: load.requests(),
      failures: load.failures.length,
      note: `/readyz ${ready}`,
    });
    expect(ready).toBe(200);
    expect(load.failures.slice(0, 1)).toEqual([]);
    expect(wrongAnswers(load.answers, expected)).toBe(0);
    expect((await service.health()).model_version).toBe(firstVersion);
  });
});

describe('a start while the database cannot be written', () => {
  test('and a bad version is promoted: the last good one is served, and the rejection recorded afterwards', async () => {
    const { service, registry, expected, firstVersion } = await serve();
    await service.kill();
    const bad = await registry.insert(await badPipelines()['no golden rows']!());
    await registry.promote(bad);
    // The models/ of a machine that is new.
    await rm(service.directories.modelsDir, { recursive: true, force: true });
    const operator = new Client({
      connectionString: service.database.url,
      options: '-c default_transaction_read_only=off',
    });
    await operator.connect();
    const name = new URL(service.database.url).pathname.slice(1);
    await operator.query(`alter database ${name} set default_transaction_read_only = on`);
    await service.start();
    const ready = await service.statusOf('/readyz');
    const load = startLoad({ url: service.server.url, rate: 200 });
    await delay(1_000);
    await operator.query(`alter database ${name} reset default_transaction_read_only`);
    await operator.end();
    // Connections keep what they began with, so all of them are broken.
    await service.proxy.set('refuse');
    await service.proxy.set('pass');
    const writableAt = Date.now();
    await eventually(async () => (await registry.rejectionOf(bad)).reason, 20_000);
    const recoverySeconds = (Date.now() - writableAt) / 1000;
    await load.stop();
    const stored = await storedWithin(service.database, load.answers, 30_000);
    reportFault({
      fault: 'start while a bad version is promoted and the database is read-only',
      load: '200 requests/s',
      requests: load.requests(),
      failures: load.failures.length,
      stored,
      recoverySeconds,
      note: `/readyz ${ready}; recovery is the rejection in the table`,
    });
    expect(ready).toBe(200);
    expect(load.failures.slice(0, 1)).toEqual([]);
    expect(wrongAnswers(load.answers, expected)).toBe(0);
    expect((await service.health()).model_version).toBe(firstVersion);
    expectNothingLost(stored);
  });
});

/** A service with its first version, an operator's session, and the right answers of each version. */
async function serve(onTestFinished: (clean: () => Promise<void>) => void = afterThisTest, pollSeconds = POLL_SECONDS) {
  const settings = { MODEL_POLL_SECONDS: String(pollSeconds) };
  const service = await prepareService({ settings, onTestFinished });
  await service.start();
  const registry = await openRegistry(service.database.url);
  onTestFinished(() => registry.close());
  const firstVersion = (await service.health()).model_version!;
  return { service, registry, firstVersion, expected: new Map([[firstVersion, answersOf(FIRST_ALPHA)]]) };
}

/** Waits until a caller is answered by the version. */
async function served(load: Load, version: string): Promise<void> {
  await eventually(async () => load.answers.at(-1)?.version === version, BUSY * 1_000);
}

async function swapAll(
  swaps: number,
  versions: string[],
  registry: Awaited<ReturnType<typeof openRegistry>>,
  load: Load,
  service: Service,
): Promise<{ seconds: number; memoryMiB: number }> {
  let seconds = 0;
  const memory: number[] = [];
  for (let swap = 1; swap <= swaps; swap++) {
    const version = versions[swap % versions.length]!;
    const promotedAt = Date.now();
    await registry.promote(version);
    await served(load, version);
    seconds = Math.max(seconds, (Date.now() - promotedAt) / 1000);
    memory.push(residentMiB(service.server) ?? Number.NaN);
  }
  if (process.env.FAULTS_DEBUG)
    console.log(
      memory
        .filter((_, i) => i % 20 === 0)
        .map(Math.round)
        .join(' '),
    );
  return { seconds, memoryMiB: growth(memory) };
}

/** From the second fifth to the last one, each at its lowest: between them lie the heights of garbage collection. */
function growth(memory: number[]): number {
  const fifth = Math.ceil(memory.length / 5);
  return Math.min(...memory.slice(-fifth)) - Math.min(...memory.slice(fifth, 2 * fifth));
}

/** Every way in which a version can be bad; made when asked for. */
function badPipelines(): Record<string, () => Promise<NewPipeline>> {
  const spoiled = async (change: (good: NewPipeline) => Partial<NewPipeline>) => {
    const good = train(10);
    return { ...good, ...change(good) };
  };
  /** Other bytes, published with their own checksum. */
  const consistently = (artefact: Uint8Array) => ({ artefact, sha256: sha256Of(artefact) });
  const fitted = fitPipeline(dataset, { alpha: 10, ...roles });
  const metadata = { featureNames: housing.names, targetName: 'MEDV', dataFingerprint: '' };
  return {
    truncated: () => spoiled(({ artefact }) => ({ artefact: artefact.subarray(0, artefact.length >> 1) })),
    'truncated, checksum to match': () =>
      spoiled(({ artefact }) => consistently(artefact.subarray(0, artefact.length >> 1))),
    'no bytes at all': () => spoiled(() => consistently(new Uint8Array(0))),
    'one bit flipped': () => spoiled(({ artefact }) => ({ artefact: flipWeight(artefact, fitted.ridge.coef[0]!) })),
    'one bit of a weight flipped, checksum to match': () =>
      spoiled(({ artefact }) => consistently(flipWeight(artefact, fitted.ridge.coef[0]!))),
    'wrong signature: 12 features': () =>
      spoiled(() => {
        const columns = dataset.X.columns - 1;
        const data = dataset.X.data.filter((_, i) => i % dataset.X.columns < columns);
        const within = (wanted: number[]) => wanted.filter((column) => column < columns);
        const parameters = { alpha: 10, numerical: within(roles.numerical), categorical: within(roles.categorical) };
        const narrow = fitPipeline({ X: { rows: dataset.X.rows, columns, data }, y: dataset.y }, parameters);
        return consistently(exportPipeline(narrow, metadata));
      }),
    'weights that are not numbers': () =>
      spoiled(() => {
        const coef = fitted.ridge.coef.map(() => Number.NaN);
        return consistently(exportPipeline({ ...fitted, ridge: { ...fitted.ridge, coef } }, metadata));
      }),
    'golden rows not reproduced': () =>
      spoiled(({ goldenRows }) => ({
        goldenRows: { ...goldenRows, predictions: goldenRows.predictions.map((prediction) => prediction + 0.001) },
      })),
    'no golden rows': () => spoiled(() => ({ goldenRows: { features: [], predictions: [] } })),
    ...Object.fromEntries(
      Object.entries(hostileArtefacts(train(10).artefact)).map(([name, artefact]) => [
        `hostile: ${name}`,
        () => spoiled(() => consistently(artefact)),
      ]),
    ),
  };
}

/**
 * Versions that reproduce their golden rows, or never get so far: without a fence the first reads a file of this machine,
 * the second never returns, the third answers by the rows of others, the last by features in other places.
 */
function hostileArtefacts(good: Uint8Array): Record<string, Uint8Array> {
  const model = decodeModel(good);
  const graph = model.graph as { node: object[]; initializer: { name: string; rawData: Uint8Array }[] };
  const withGraph = (changed: object) => encodeModel({ ...model, graph: { ...graph, ...changed } });
  const names = housing.names;
  const swapped = names.map((name) => ({ CRIM: 'ZN', ZN: 'CRIM' })[name] ?? name);
  const external: RawField[] = [
    [1, 'location'],
    [2, 'package.json'],
  ];
  const [constant] = graph.initializer;
  const tensor: RawField[] = [
    [8, constant!.name],
    [2, 11],
    [13, external],
    [14, 1],
  ];
  const loop: RawField[] = [
    [4, 'Loop'],
    [2, 'prediction'],
    [
      5,
      [
        [1, 'body'],
        [20, 5],
        [6, [[1, [[4, 'Identity']]]]],
      ],
    ],
  ];
  const raw = (...fields: RawField[]) =>
    rawMessage([
      [1, 10],
      [8, [[2, 21]]],
      [7, fields],
    ]);
  return {
    'external data': raw([5, tensor]),
    'an endless loop': raw([1, loop]),
    'the mean of the batch': withGraph({
      node: [...graph.node.slice(0, -1), { opType: 'ReduceMean', input: ['weighted'], output: ['prediction'] }],
    }),
    'features in another order': encodeModel({
      ...model,
      metadataProps: [{ key: 'feature_names', value: JSON.stringify(swapped) }],
    }),
  };
}

/** Flips the highest mantissa bit of one weight, wherever it lies in the file. */
function flipWeight(artefact: Uint8Array, weight: number): Uint8Array {
  const flipped = Buffer.from(artefact);
  const pattern = Buffer.alloc(8);
  pattern.writeDoubleLE(weight);
  const at = flipped.indexOf(pattern);
  if (at === -1) throw new Error('The weight is not in the artefact.');
  flipped[at + 6]! ^= 0b1000;
  return flipped;
}
