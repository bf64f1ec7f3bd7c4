import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { referenceOf } from '../../src/contract/reference-profile.ts';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { recordLabels } from '../../src/ground-truth/record-labels.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { runHourly, runMinutely } from '../../src/monitoring/job.ts';
import { readQuality } from '../../src/monitoring/quality-report.ts';
import { insertPipeline, type NewPipeline } from '../../src/registry/pipeline-versions.ts';
import { promote } from '../../src/registry/promotions.ts';
import { regressionMetrics } from '../../src/training/regression-metrics.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type MadePrediction, storePredictions, tellTruth } from '../support/housing-traffic.ts';
import { createNotedLog } from '../support/noted-log.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const START = new Date('2026-11-10T00:00:00Z');
const dataset = loadHousingDataset();

let database: TestDatabase;
let pool: Pool;
/** The job has one connection. */
let poolOfJob: Pool;
let trained: NewPipeline;
let version: string;
const { log, messages } = createNotedLog();
const context = () => ({ pool: poolOfJob, shipped: housing, log });
const at = (milliseconds: number) => new Date(START.getTime() + milliseconds);

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined });
  poolOfJob = createPool({ url: database.url, onError: () => undefined, max: 1 });
  trained = trainPipeline(dataset, { contract: housing, alpha: 1, seed: 0 });
});
afterAll(async () => {
  await pool.end();
  await poolOfJob.end();
  await database.drop();
});
beforeEach(async () => {
  await database.query(
    `truncate ml_pipeline, predictions, ground_truth, ground_truth_revision, live_quality, live_quality_dirty,
       feature_histogram, monitoring_state, interval_quantile cascade`,
  );
  version = await publish(trained);
});

const publish = (pipeline: NewPipeline) =>
  transaction(pool, async (client) => {
    const name = await insertPipeline(client, pipeline, { now: new Date() });
    await promote(client, name, { now: new Date(), promotedBy: 'test', reason: 'test' });
    return name;
  });

const histograms = (where = 'true') =>
  database.query<{ feature: string; rows_all: string; rows: number; counts: number[]; below: number; above: number }>(
    `select * from feature_histogram where ${where} order by hour, feature`,
  );
const cells = () =>
  database.query<{ day: string; labelled: string; mean_squared_error: number; covered: string }>(
    'select *, day::text as day from live_quality order by live_quality.day',
  );

describe('every minute', () => {
  test('cells whose labels have changed are computed anew, and are those of all rows of the day', async () => {
    const made = await storePredictions(pool, { version, from: at(0), rows: 240, everyMs: DAY_MS / 100 });
    await tellTruth(pool, made, HOUR_MS);
    await runMinutely(context(), at(5 * DAY_MS));
    const found = await cells();
    expect(found.map(({ day, labelled }) => [day, Number(labelled)])).toEqual([
      ['2026-11-10', 100],
      ['2026-11-11', 100],
      ['2026-11-12', 40],
    ]);
    const { rmse, mae } = measured(made);
    const { versions } = await readQuality(pool, { now: at(2.5 * DAY_MS), days: 3 });
    expect(versions[0]!.rmse).toBeCloseTo(rmse, 9);
    expect(versions[0]!.mae).toBeCloseTo(mae, 9);
    expect(versions[0]).toMatchObject({ version, role: 'champion', status: 'ok', labels: 240, predictions: null });
    expect(versions[0]!.daily[0]).toMatchObject({ label_delay_p50_seconds: 3600, label_delay_p95_seconds: 3600 });
    // The half-width of the training at 90 %: 4 sin() is always in it.
    expect(versions[0]!.coverage).toMatchObject({ level: 0.9, covered: 240, share: 1 });
  });

  test('a correction and a withdrawal leave what would be there had they been the first word', async () => {
    const made = await storePredictions(pool, { version, from: at(0), rows: 40, everyMs: 1000 });
    await tellTruth(pool, made, HOUR_MS);
    await runMinutely(context(), at(DAY_MS));
    const absurd = made.map(({ predictionId }) => ({ predictionId, actual: 1e12 }));
    await recordLabels(pool, absurd, at(DAY_MS));
    await runMinutely(context(), at(DAY_MS));
    await recordLabels(
      pool,
      made.map(({ predictionId, actual }) => ({ predictionId, actual })),
      at(DAY_MS + 1),
    );
    await recordLabels(
      pool,
      made.slice(30).map(({ predictionId }) => ({ predictionId, actual: null })),
      at(DAY_MS + 2),
    );
    await runMinutely(context(), at(DAY_MS));
    const [cell] = await cells();
    expect(Number(cell!.labelled)).toBe(30);
    expect(Math.sqrt(cell!.mean_squared_error)).toBeCloseTo(measured(made.slice(0, 30)).rmse, 9);
    await recordLabels(
      pool,
      made.map(({ predictionId }) => ({ predictionId, actual: null })),
      at(DAY_MS + 3),
    );
    await runMinutely(context(), at(DAY_MS));
    expect(await cells()).toEqual([]);
  });

  test('a truth that is the same everywhere has no spread, not even that of rounding', async () => {
    const made = await storePredictions(pool, { version, from: at(0), rows: 37, everyMs: 1000 });
    await tellTruth(
      pool,
      made.map((one) => ({ ...one, actual: 0.1 + 0.2 })),
      HOUR_MS,
    );
    await runMinutely(context(), at(DAY_MS));
    expect((await readQuality(pool, { now: at(DAY_MS), days: 2 })).versions[0]).toMatchObject({ labels: 37, r2: 0 });
  });

  test('no change is lost that commits while cells are computed', async () => {
    const made = await storePredictions(pool, { version, from: at(0), rows: 300, everyMs: 100 });
    const telling = Array.from({ length: 10 }, (_, i) => tellTruth(pool, made.slice(i * 30, i * 30 + 30), HOUR_MS));
    const computing = (async () => {
      for (let i = 0; i < 30; i++) await runMinutely(context(), at(DAY_MS));
    })();
    await Promise.all([...telling, computing]);
    await runMinutely(context(), at(DAY_MS));
    expect(Number((await cells())[0]!.labelled)).toBe(300);
    expect(await database.query('select from live_quality_dirty')).toEqual([]);
  });
});

describe('every hour', () => {
  test('hours that are over are counted into the bins of the training data', async () => {
    // All rows of housing, once, within one hour.
    await storePredictions(pool, { version, from: at(0), rows: 506, everyMs: 1000 });
    expect(await runHourly(context(), at(HOUR_MS + 1))).toBe(true);
    const found = new Map((await histograms()).map((one) => [one.feature, one]));
    expect([...found.keys()].sort()).toEqual(['', ...housing.names].sort());
    for (const name of housing.names) {
      const profile = (trained.featureProfile as Record<string, unknown>)[name];
      expect(found.get(name)).toMatchObject({
        ...{ counts: referenceOf(profile)!.counts, rows_all: '506', rows: 506, missing: 0, below: 0, above: 0 },
      });
    }
    const { min, max } = trained.predictionProfile as { min: number; max: number };
    const predictions = await database.query<{ prediction: number }>('select prediction from predictions');
    expect(found.get('')).toMatchObject({
      below: predictions.filter(({ prediction }) => prediction < min).length,
      above: predictions.filter(({ prediction }) => prediction > max).length,
    });
  });

  test('an hour is not looked at before it is over, once after it, and again when rows came late', async () => {
    await storePredictions(pool, { version, from: at(0), rows: 10, everyMs: 1000 });
    await runHourly(context(), at(HOUR_MS - 1));
    expect(await histograms()).toEqual([]);
    expect(await runHourly(context(), at(HOUR_MS))).toBe(true);
    const first = await histograms("feature = 'RM'");
    expect(first).toMatchObject([{ rows_all: '10' }]);
    expect(await runHourly(context(), at(HOUR_MS + 60_000))).toBe(false);
    await storePredictions(pool, { version, from: at(30_000), rows: 5, everyMs: 1001 });
    expect(await runHourly(context(), at(2 * HOUR_MS))).toBe(true);
    expect(await histograms("feature = 'RM'")).toMatchObject([{ rows_all: '15' }]);
  });

  test('of many rows a part is looked at, which is random and repeatable', async () => {
    const many = 60_000;
    await database.query(
      `insert into predictions (id, created_at, prediction, pipeline_version, rm)
       select (left(replace($1, '-', ''), 20) || md5(i::text))::char(32)::uuid, $2, 20, $3, 6 from generate_series(1, ${many}) as i`,
      ['019a8f3c-5b1e-7c42-9d0a-3f6e2b8c4d11', at(0), version],
    );
    await runHourly(context(), at(HOUR_MS));
    const [first] = await histograms("feature = 'RM'");
    expect(first!.rows_all).toBe(String(many));
    expect(Math.abs(first!.rows - 20_000)).toBeLessThan(1_500);
    await database.query('truncate feature_histogram, monitoring_state');
    await runHourly(context(), at(HOUR_MS));
    expect((await histograms("feature = 'RM'"))[0]).toEqual(first);
  });

  test('of a version that kept no bins there is the number of its rows, which label shares need', async () => {
    await database.query('update ml_pipeline set prediction_profile = null, feature_profile = $1', [{}]);
    const made = await storePredictions(pool, { version, from: at(0), rows: 80, everyMs: 1000 });
    await tellTruth(pool, made.slice(0, 40), HOUR_MS);
    await runMinutely(context(), at(2 * HOUR_MS));
    await runHourly(context(), at(2 * HOUR_MS));
    expect(await histograms()).toMatchObject([{ feature: '', rows_all: '80', counts: [] }]);
    const { versions } = await readQuality(pool, { now: at(2 * HOUR_MS), days: 1 });
    expect(versions).toMatchObject([{ predictions: 80, labels: 40, label_share: 0.5, label_bias: null }]);
  });

  test('a version of which nothing is known, and columns that are gone, hold up nothing else', async () => {
    const other = '2020_01_01__00_00_00';
    await storePredictions(pool, { version: other, from: at(0), rows: 3, everyMs: 1 });
    await storePredictions(pool, { version, from: at(1000), rows: 3, everyMs: 1 });
    await database.query('alter table predictions rename column rm to rooms');
    try {
      expect(await runHourly(context(), at(HOUR_MS))).toBe(true);
    } finally {
      await database.query('alter table predictions rename column rooms to rm');
    }
    expect(await histograms()).toMatchObject([
      { feature: '', rows_all: '3' },
      { feature: '', rows_all: '3' },
    ]);
    expect(messages()).toContain('predictions of a version cannot be counted');
  });

  test('what is labelled is held against all, and the RMSE mended where it is another part', async () => {
    const answer = (actual: number, row: number) => actual + (actual > 30 ? 10 : 1) * Math.sin(row);
    const made = await storePredictions(pool, { version, from: at(0), rows: 506, everyMs: 1000, answer });
    // Only of dear houses is the truth known, and of a few others.
    const known = made.filter(({ prediction, row }) => prediction > 30 || row % 10 === 0);
    await tellTruth(pool, known, HOUR_MS);
    await runMinutely(context(), at(3 * HOUR_MS));
    await runHourly(context(), at(3 * HOUR_MS));
    const [quality] = (await readQuality(pool, { now: at(3 * HOUR_MS), days: 1 })).versions;
    expect(quality!.label_bias).toBeGreaterThan(0.1);
    const truly = measured(made).rmse;
    expect(Math.abs(quality!.post_stratified_rmse! - truly)).toBeLessThan(Math.abs(quality!.rmse! - truly) / 3);
    expect(quality!.post_stratified_share).toBeGreaterThan(0.9);
  });

  test('from 200 labels on intervals follow the newest errors, and are kept when they change', async () => {
    const answer = (actual: number, row: number) => actual + 20 * Math.sin(row);
    const made = await storePredictions(pool, { version, from: at(0), rows: 300, everyMs: 60_000, answer });
    const quantiles = () =>
      database.query<{ effective_from: Date; halfwidths: number[]; n: number }>('select * from interval_quantile');
    await tellTruth(pool, made.slice(0, 199), 1000);
    await runMinutely(context(), at(6 * HOUR_MS));
    await runHourly(context(), at(6 * HOUR_MS));
    expect(await quantiles()).toEqual([]);
    await tellTruth(pool, made.slice(199), 1000);
    await runMinutely(context(), at(7 * HOUR_MS));
    await runHourly(context(), at(7 * HOUR_MS));
    await runHourly(context(), at(8 * HOUR_MS));
    const [only, ...more] = await quantiles();
    expect(more).toEqual([]);
    expect(only).toMatchObject({ effective_from: at(7 * HOUR_MS), n: 300 });
    const sizes = made.map(({ prediction, actual }) => Math.abs(prediction - actual)).sort((a, b) => a - b);
    expect(only!.halfwidths[40]).toBe(sizes[Math.ceil(301 * 0.9) - 1]);
  });
});

test('a clock that was far ahead for a while holds nothing up', async () => {
  const answer = (actual: number, row: number) => actual + 20 * Math.sin(row);
  const made = await storePredictions(pool, { version, from: at(0), rows: 250, everyMs: 1000, answer });
  await tellTruth(pool, made, 1000);
  await runMinutely(context(), at(365 * DAY_MS));
  expect(await runHourly(context(), at(365 * DAY_MS))).toBe(true);
  expect(await runHourly(context(), at(2 * HOUR_MS))).toBe(true);
  expect(await runHourly(context(), at(2 * HOUR_MS + 60_000))).toBe(false);
  expect(await histograms("feature = 'RM'")).toMatchObject([{ rows_all: '250' }]);
  const inForce = await database.query('select from interval_quantile where effective_from <= $1', [at(2 * HOUR_MS)]);
  expect(inForce).toHaveLength(1);
});

describe('alarms', () => {
  const states = () =>
    database.query<{ subject: string; state: string; since: Date }>(
      "select subject, state, since from monitoring_state where subject ~ '^(quality|coverage):' order by subject",
    );
  const hourly = async (from: number, hours: number) => {
    for (let hour = from; hour < from + hours; hour++) await runHourly(context(), at(hour * HOUR_MS));
  };

  test('fire after six looks, and end after six that show it is over', async () => {
    // Errors twice those of the cross-validation.
    const answer = (actual: number, row: number) => actual + 14 * Math.sin(row);
    const made = await storePredictions(pool, { version, from: at(0), rows: 400, everyMs: 60_000, answer });
    await tellTruth(pool, made, 60_000);
    await runMinutely(context(), at(24 * HOUR_MS));
    // The day is not over.
    await hourly(20, 2);
    expect(await states()).toEqual([]);
    await hourly(25, 5);
    expect(await states()).toEqual([
      { subject: `coverage:${version}`, state: 'pending', since: at(25 * HOUR_MS) },
      { subject: `quality:${version}`, state: 'pending', since: at(25 * HOUR_MS) },
    ]);
    await hourly(30, 1);
    expect((await states()).map(({ state }) => state)).toEqual(['firing', 'firing']);
    expect((await readQuality(pool, { now: at(31 * HOUR_MS), days: 7 })).versions[0]!.alarm).toEqual({
      state: 'firing',
      since: at(30 * HOUR_MS).toISOString(),
    });
    // The truth was mistyped.
    const corrected = made.map(({ predictionId, prediction }) => ({ predictionId, actual: prediction + 1 }));
    await recordLabels(pool, corrected, at(31 * HOUR_MS));
    await runMinutely(context(), at(31 * HOUR_MS));
    await hourly(60, 5);
    expect((await states()).map(({ state }) => state)).toEqual(['firing', 'firing']);
    await hourly(65, 1);
    expect((await states()).map(({ state }) => state)).toEqual(['ok', 'ok']);
    expect(messages()).toEqual(expect.arrayContaining(['an alarm fires', 'an alarm has ended']));
  });

  test('are not raised by few labels', async () => {
    const answer = (actual: number) => actual + 50;
    const made = await storePredictions(pool, { version, from: at(0), rows: 99, everyMs: 60_000, answer });
    await tellTruth(pool, made, 60_000);
    await runMinutely(context(), at(24 * HOUR_MS));
    await hourly(25, 8);
    expect(await states()).toEqual([]);
  });
});

test('ended anywhere and run again, the job leaves what it would have left', async () => {
  const made = await storePredictions(pool, { version, from: at(0), rows: 500, everyMs: 60_000 });
  await tellTruth(pool, made, HOUR_MS);
  const now = at(2 * DAY_MS);
  const runBoth = async (on: Pool) => {
    await runMinutely({ ...context(), pool: on }, now);
    await runHourly({ ...context(), pool: on }, now);
  };
  const everything = async () => [
    await database.query('select * from live_quality order by 1, 2'),
    await database.query('select * from feature_histogram order by 1, 2, 3'),
    await database.query('select * from interval_quantile'),
    await database.query('select * from monitoring_state order by 1'),
    await database.query('select * from live_quality_dirty'),
  ];
  await database.query('create table dirty_before as select * from live_quality_dirty');
  onTestFinished(async () => void (await database.query('drop table dirty_before')));
  await runBoth(pool);
  const expected = upToRounding(await everything());

  let ended = 0;
  for (const statements of [1, 3, 4, 6, 9, 15, 30, 60, 120]) {
    await database.query(
      'truncate live_quality, feature_histogram, interval_quantile, monitoring_state, live_quality_dirty',
    );
    await database.query('insert into live_quality_dirty select * from dirty_before');
    // As autovacuum does at any time: plans may change, and with them the order in which rows are summed up.
    await database.query('analyze');
    const failing = createPool({ url: database.url, onError: () => undefined, max: 1 });
    let left = statements;
    failing.on('connect', (client) => {
      const query = client.query.bind(client) as (...asked: unknown[]) => unknown;
      Object.assign(client, {
        query(...asked: unknown[]) {
          // As when the process is killed: the server rolls back what is not committed.
          if (left-- === 0)
            void database.query('select pg_terminate_backend($1)', [
              (client as unknown as { processID: number }).processID,
            ]);
          return query(
            ...(left < 0 ? ['select pg_sleep(5)', ...asked.filter((one) => typeof one === 'function')] : asked),
          );
        },
      });
    });
    await runBoth(failing).then(
      () => undefined,
      () => ended++,
    );
    await failing.end();
    await runBoth(pool);
    expect(await everything()).toEqual(expected);
  }
  expect(ended).toBeGreaterThan(5);
});

/** What is expected of the same sums in any order of their terms: the last digits of a float8 depend on it. */
function upToRounding(value: unknown): unknown {
  if (typeof value === 'number' && !Number.isInteger(value)) return expect.closeTo(value, 9);
  if (Array.isArray(value)) return value.map(upToRounding);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, upToRounding(one)]));
}

function measured(made: readonly MadePrediction[]) {
  const [actual, predicted] = [made.map((one) => one.actual), made.map((one) => one.prediction)];
  return regressionMetrics(Float64Array.from(actual), Float64Array.from(predicted));
}
