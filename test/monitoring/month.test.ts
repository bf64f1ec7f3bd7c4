/**
 * A month of traffic with labels that are late, corrected, withdrawn, repeated and sent too early, through the real service and
 * PostgreSQL. The service is killed and the database is away on the way. At the end the table and the quality are exactly what
 * follows from what callers were told.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { runHourly, runMinutely } from '../../src/monitoring/job.ts';
import { publish } from '../../src/publishing/publish.ts';
import { regressionMetrics } from '../../src/training/regression-metrics.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { createNotedLog } from '../support/noted-log.ts';
import { childEnvironment } from '../support/server.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
// In no month for which the migration has made partitions.
const START = new Date('2031-05-17T03:00:00Z').getTime();
const STEP_MS = 8 * HOUR_MS;
const STEPS = 90;
const ROWS = 12;

interface Told {
  predictionId: string;
  version: string;
  predictedAt: number;
  prediction: number;
  actual: number;
}

interface Label {
  prediction_id: string;
  actual: number | null;
  observed_at: string;
}

const random = xoroshiro128plus(17);
const chance = (share: number) => uniformFloat64(random) < share;
const { X, y } = loadHousingDataset();

let database: TestDatabase;
let directories: ServerDirectories;
let pool: Pool;
let service: { url: string; process: ChildProcess } | undefined;
let now = START;
beforeAll(async () => {
  database = await createTestDatabase();
  directories = await makeDirectories();
  pool = createPool({ url: database.url, onError: () => undefined, max: 3 });
  await publishWith(1);
});
afterAll(async () => {
  service?.process.kill('SIGKILL');
  await pool.end();
  await database.drop();
  await directories.remove();
});

async function publishWith(alpha: number): Promise<void> {
  const pipeline = trainPipeline({ X, y }, { contract: housing, alpha, seed: 0 });
  await publish(pipeline, {
    transaction: (work) => transaction(pool, work),
    ...{ modelsDir: directories.modelsDir, now: new Date(), promotedBy: 'test', reason: 'test', shipped: housing },
  });
}

async function startService(): Promise<void> {
  const env = childEnvironment(
    { DATABASE_URL: database.url, MODEL_POLL_SECONDS: '1', SIMULATED_START: new Date(now).toISOString() },
    directories,
  );
  const child = fork(join(import.meta.dirname, '../support/simulated-service.ts'), {
    env,
    execArgv: ['--import', 'tsx'],
  });
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  service = { url, process: child };
}

async function killService(): Promise<void> {
  service!.process.kill('SIGKILL');
  await once(service!.process, 'exit');
  await startService();
}

async function setTime(time: number): Promise<void> {
  now = time;
  service!.process.send({ at: new Date(time).toISOString() });
  await once(service!.process, 'message');
}

async function letDatabaseIn(isIn: boolean): Promise<void> {
  const name = new URL(database.url).pathname.slice(1);
  const url = new URL(database.url);
  url.pathname = '/postgres';
  const elsewhere = createPool({ url: url.href, onError: () => undefined, max: 1 });
  await elsewhere.query(`alter database ${name} with allow_connections ${isIn}`);
  if (!isIn) await elsewhere.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
  await elsewhere.end();
}

async function post<Answer>(path: string, body: object): Promise<Answer | undefined> {
  const response = await fetch(service!.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }).catch(() => undefined);
  return response?.ok ? ((await response.json()) as Answer) : undefined;
}

async function predict(): Promise<Told[]> {
  const rows = Array.from({ length: ROWS }, () => uniformInt(random, 0, X.rows - 1));
  const instances = rows.map((row) =>
    Object.fromEntries(housing.names.map((name, column) => [name, X.data[row * X.columns + column]!])),
  );
  type Answer = { predictions: number[]; prediction_ids: string[]; model_version: string };
  const answer = await post<Answer>('/predict/batch', { instances });
  return (answer?.predictions ?? []).map((prediction, i) => ({
    ...{ predictionId: answer!.prediction_ids[i]!, version: answer!.model_version, predictedAt: now, prediction },
    actual: Math.round((y[rows[i]!]! + uniformFloat64(random)) * 100) / 100,
  }));
}

/** What will be said of a prediction, and when: some of it late, wrong, taken back, or again. */
function planLabels({ predictionId, actual, predictedAt }: Told): [time: number, label: Label][] {
  if (chance(0.25)) return [];
  const label = (value: number | null, observedAt: number): Label => ({
    ...{ prediction_id: predictionId, actual: value, observed_at: new Date(observedAt).toISOString() },
  });
  // Some before the prediction can be in the table.
  const first = predictedAt + (chance(0.1) ? 0 : uniformInt(random, 1, 9 * 24) * HOUR_MS);
  const plan: [number, Label][] = [[first, label(actual, first)]];
  if (chance(0.15)) {
    const again = first + uniformInt(random, 1, 5 * 24) * HOUR_MS;
    plan.push([again, label(actual + 1, again)]);
    // The first one once more, after its correction.
    if (chance(0.5)) plan.push([again + DAY_MS, label(actual, first)]);
    if (chance(0.3)) plan.push([again + 2 * DAY_MS, label(null, again + 2 * DAY_MS)]);
  }
  if (chance(0.1)) plan.push([first, label(actual, first)]);
  return plan;
}

test('ends with exactly the labels that were told, and the quality that follows from them', async () => {
  await startService();
  const told: Told[] = [];
  let plan: [time: number, label: Label][] = [];
  const accepted: Label[] = [];
  const context = { pool, shipped: housing, log: createNotedLog().log };
  let unanswered = 0;

  for (let step = 0; step < STEPS; step++) {
    await setTime(START + step * STEP_MS);
    if (step === 35) await publishWith(30);
    if (step === 45) await letDatabaseIn(false);
    const made = await predict();
    if (step === 20 || step === 47 || step === 60) await killService();
    if (step === 49) await letDatabaseIn(true);
    told.push(...made);
    plan.push(...made.flatMap(planLabels));

    const due = plan.filter(([time]) => time <= now).map(([, label]) => label);
    for (let start = 0; start < due.length; start += 10) {
      const instances = due.slice(start, start + 10);
      const sending = post<{ results: string[] }>('/ground-truth/batch', { instances });
      if (step === 21 && start === 0) await killService();
      const answer = await sending;
      // Whoever is not answered sends it again, later.
      if (answer) accepted.push(...instances.filter((_, i) => answer.results[i] !== 'unknown'));
      else unanswered++;
      if (answer) plan = plan.filter(([, label]) => !instances.includes(label));
    }
    if (step < 45 || step > 49) {
      await runMinutely(context, new Date(now));
      if (step % 5 === 0) await runHourly(context, new Date(now));
    }
  }
  expect(told).toHaveLength(STEPS * ROWS);
  expect(unanswered).toBeGreaterThan(1);

  // What waits in the spool of those that were killed has come by then.
  const stored = async () =>
    (await database.query('select from predictions where id = any($1)', [told.map((one) => one.predictionId)])).length;
  await eventually(async () => (await stored()) === told.length, 30_000);
  await setTime(now + HOUR_MS);
  for (let i = 0; i < plan.length; i += 500) {
    const instances = plan.slice(i, i + 500).map(([, label]) => label);
    const isDue = instances.filter(({ observed_at }) => Date.parse(observed_at) <= now);
    const answer = await post<{ results: string[] }>('/ground-truth/batch', { instances: isDue });
    accepted.push(...isDue.filter((_, at) => answer!.results[at] !== 'unknown'));
  }
  await runMinutely(context, new Date(now));
  await runHourly(context, new Date(now));

  const expected = new Map<string, Label>();
  for (const label of accepted) {
    const before = expected.get(label.prediction_id);
    if (!before || label.observed_at >= before.observed_at) expected.set(label.prediction_id, label);
  }
  const rows = await database.query<{ id: string; actual: number | null; observed_at: Date; version: string }>(
    'select prediction_id as id, actual, observed_at, pipeline_version as version from ground_truth',
  );
  const found = rows.map(({ id, actual, observed_at }) => [id, { actual, observed_at: observed_at.toISOString() }]);
  expect(Object.fromEntries(found)).toEqual(
    Object.fromEntries([...expected].map(([id, { actual, observed_at }]) => [id, { actual, observed_at }])),
  );
  expect(rows.filter(({ version }) => version === null)).toEqual([]);
  expect([...expected.values()].filter(({ actual }) => actual === null).length).toBeGreaterThan(5);

  const dayOf = ({ predictedAt }: Told) => new Date(predictedAt).toISOString().slice(0, 10);
  const labelled = told.flatMap((one) => {
    const actual = expected.get(one.predictionId)?.actual ?? null;
    return actual === null ? [] : { ...one, actual, cell: `${one.version} ${dayOf(one)}` };
  });
  const cells = await database.query<Record<string, number> & { cell: string }>(
    "select pipeline_version || ' ' || day as cell, labelled::int as labelled, mean_squared_error, mean_error, covered::int as covered from live_quality",
  );
  expect(cells.map(({ cell }) => cell).sort()).toEqual([...new Set(labelled.map(({ cell }) => cell))].sort());
  expect(new Set(labelled.map(({ version }) => version)).size).toBe(2);
  for (const { cell, labelled: n, mean_squared_error, mean_error } of cells) {
    const ofCell = labelled.filter((one) => one.cell === cell);
    expect(n).toBe(ofCell.length);
    const { rmse } = regressionMetrics(
      Float64Array.from(ofCell, ({ actual }) => actual),
      Float64Array.from(ofCell, ({ prediction }) => prediction),
    );
    expect(Math.abs(Math.sqrt(mean_squared_error!) - rmse)).toBeLessThan(1e-9);
    const bias = ofCell.reduce((sum, { prediction, actual }) => sum + prediction - actual, 0) / ofCell.length;
    expect(Math.abs(mean_error! - bias)).toBeLessThan(1e-9);
  }
  // Every prediction that callers were told of is in a month of its own, not in the default.
  expect(await database.query('select from predictions_default')).toEqual([]);
  expect(await database.query('select from ground_truth_default')).toEqual([]);
}, 180_000);
