import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSimulatedClock } from '../../src/clock.ts';
import { createPool, type Pool } from '../../src/database/pool.ts';
import { housing } from '../../src/housing/features.ts';
import type { DriftReport, VersionDrift } from '../../src/monitoring/drift-report.ts';
import { runHourly, runMinutely } from '../../src/monitoring/job.ts';
import type { QualityReport, VersionQuality } from '../../src/monitoring/quality-report.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { storePredictions, tellTruth } from '../support/housing-traffic.ts';
import { createNotedLog } from '../support/noted-log.ts';
import type { ProblemAnswer } from '../support/requests.ts';

const HOUR_MS = 3_600_000;
const clock = createSimulatedClock('2026-11-20T10:30:00Z');
let app: TestApp;
let pool: Pool;
let version: string;
beforeAll(async () => {
  app = await startTestApp({}, { clock });
  pool = createPool({ url: app.database.url, onError: () => undefined });
  version = app.app.served()!.pipelineVersion;
  const answer = (actual: number, row: number) => actual + (row % 2 === 0 ? 3 : -1);
  const made = await storePredictions(pool, {
    ...{ version, from: new Date('2026-11-19T22:00:00Z'), rows: 200, everyMs: 120_000, answer },
  });
  await tellTruth(pool, made.slice(0, 100), HOUR_MS);
  const context = { pool, shipped: housing, log: createNotedLog().log };
  await runMinutely(context, clock.now());
  await runHourly(context, clock.now());
  await tellTruth(pool, made.slice(100, 101), HOUR_MS);
});
afterAll(async () => {
  await pool.end();
  await app.close();
});

const get = async (path: string) => {
  const response = await fetch(app.url + path);
  return { status: response.status, body: (await response.json()) as QualityReport };
};

describe('GET /monitoring/quality', () => {
  test('tells of each version, by the days of its predictions', async () => {
    const { status, body } = await get('/monitoring/quality');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      computed_at: '2026-11-20T10:30:00.000Z',
      waiting_cells: 1,
      from: '2026-11-14',
      to: '2026-11-20',
    });
    const [only, ...more] = body.versions as [VersionQuality];
    expect(more).toEqual([]);
    expect(Object.keys(only)).toEqual([
      ...[
        'version',
        'role',
        'status',
        'labels',
        'predictions',
        'label_share',
        'rmse',
        'rmse_lower',
        'rmse_upper',
        'mae',
      ],
      ...['bias', 'r2', 'cv_rmse', 'post_stratified_rmse', 'post_stratified_share', 'label_bias', 'coverage', 'alarm'],
      'daily',
    ]);
    expect(only).toMatchObject({
      ...{ version, role: 'champion', status: 'ok', labels: 100, predictions: 200, label_share: 0.5, mae: 2, bias: 1 },
      ...{ coverage: { level: 0.9, covered: 100, share: 1 }, alarm: { state: 'ok', since: null } },
    });
    expect(only.rmse).toBeCloseTo(Math.sqrt(5), 9);
    expect(only.cv_rmse).toBeGreaterThan(4);
    expect(only.daily).toMatchObject([
      { day: '2026-11-19', mature: true, labels: 60, predictions: 60, label_delay_p50_seconds: 3600 },
      { day: '2026-11-20', mature: false, labels: 40, predictions: 140, label_delay_p95_seconds: 3600 },
    ]);
    expect(only.daily[0]!.rmse).toBeCloseTo(Math.sqrt(5), 9);
  });

  test('counts the days that are asked for, and says of few labels no number', async () => {
    const { body } = await get('/monitoring/quality?days=1');
    expect(body).toMatchObject({ from: '2026-11-20', to: '2026-11-20' });
    expect(body.versions).toMatchObject([{ labels: 40, predictions: 140 }]);
    await app.database.query('update live_quality set labelled = 29');
    try {
      const [few] = (await get('/monitoring/quality?days=1')).body.versions;
      expect(few).toMatchObject({ status: 'not_enough_labels', labels: 29, predictions: 140 });
      const measures = ['rmse', 'rmse_lower', 'rmse_upper', 'mae', 'bias', 'r2', 'label_bias', 'coverage'] as const;
      for (const name of measures) expect(few![name]).toBeNull();
    } finally {
      await app.database.query('update live_quality set labelled = case day when $1 then 60 else 40 end', [
        '2026-11-19',
      ]);
    }
  });

  test.each(['0', '91', '-1', '1.5', 'x', '', '7&days=7'])('refuses days=%s', async (days) => {
    const { status, body } = await get(`/monitoring/quality?days=${days}`);
    expect(status).toBe(422);
    const problem = body as unknown as ProblemAnswer;
    expect(problem.type).toBe('urn:ridgeline:error:invalid_parameters');
    expect(problem.errors).toMatchObject([{ parameter: 'days' }]);
  });

  test('agrees with what people select', async () => {
    const rows = await app.database.query<Record<string, number>>(
      'select *, day::text as day, labels::int as labels, predictions::int as predictions from pipeline_quality order by pipeline_quality.day',
    );
    const { daily, cv_rmse } = (await get('/monitoring/quality')).body.versions[0]!;
    expect(rows).toHaveLength(2);
    rows.forEach((row, i) => {
      for (const name of ['day', 'labels', 'predictions', 'rmse', 'mae', 'bias'] as const) {
        expect(row[name]).toEqual(daily[i]![name]);
      }
      expect(row.cv_rmse).toBe(cv_rmse);
      expect(row.rmse_lower!).toBeLessThan(row.rmse!);
      expect(row.rmse_upper!).toBeGreaterThan(row.rmse!);
      expect(row.coverage).toBe(1);
    });
  });
});

describe('GET /monitoring/drift', () => {
  const drift = async () => (await (await fetch(`${app.url}/monitoring/drift`)).json()) as DriftReport;

  test('tells of each version how far its rows are from those of its training', async () => {
    const { computed_at, versions } = await drift();
    expect(computed_at).toBe('2026-11-20T10:00:00.000Z');
    const [only] = versions as [VersionDrift];
    expect(only).toMatchObject({
      version,
      // The answers were made up, more spread than those of the pipeline.
      alarm: { state: 'pending', since: '2026-11-20T10:30:00.000Z', features: ['prediction'] },
      window: { from: '2026-11-19T10:00:00.000Z', to: '2026-11-20T10:00:00.000Z', rows: 200 },
    });
    expect(only.features.map(({ name }) => name)).toEqual(housing.names);
    expect(only.prediction).toMatchObject({ name: 'prediction', unseen_share: null, effect: null });
    for (const one of only.features) {
      expect(one.status).toBe('ok');
      expect(one.p_adjusted).toBeGreaterThanOrEqual(one.p!);
      expect(one.missing_share).toBe(0);
      expect(one.noise).toBeGreaterThan(0);
    }
    expect(only.features.every(({ effect }) => effect !== null)).toBe(true);
  });

  test('sums the hours of a window, and says what has moved', async () => {
    // All of RM moved into its last bin, in the first hour.
    const bins = (await app.database.query("select counts from feature_histogram where feature = 'RM' limit 1"))[0]!
      .counts as number[];
    const moved = `{${bins.map((_, bin) => (bin === bins.length - 1 ? 5000 : 0)).join()}}`;
    const before = await app.database.query('select * from feature_histogram order by hour, feature limit 20');
    await app.database.query(
      `update feature_histogram set counts = $1, rows = 5000, mean = 8 where feature = 'RM' and hour = $2`,
      [moved, before[0]!.hour],
    );
    try {
      const [only] = (await drift()).versions as [VersionDrift];
      expect(only.status).toBe('drift');
      const rm = only.features.find(({ name }) => name === 'RM')!;
      expect(rm.status).toBe('drift');
      expect(rm.psi).toBeGreaterThan(1);
      expect(rm.mean_shift_sd).toBeGreaterThan(1);
      expect(rm.effect).toBeGreaterThan(1);
    } finally {
      await app.database.query('truncate feature_histogram; delete from monitoring_state');
      await runHourly({ pool, shipped: housing, log: createNotedLog().log }, clock.now());
    }
  });

  test('knows no parameters', async () => {
    expect((await get('/monitoring/drift?days=7')).status).toBe(422);
  });
});

test('without predictions there is an answer too', async () => {
  const empty = await startTestApp({}, { clock });
  try {
    const response = await fetch(`${empty.url}/monitoring/quality`);
    expect(await response.json()).toEqual({
      ...{ computed_at: null, waiting_cells: 0, from: '2026-11-14', to: '2026-11-20', versions: [] },
    });
    const drift = await fetch(`${empty.url}/monitoring/drift`);
    expect(await drift.json()).toEqual({ computed_at: null, versions: [] });
  } finally {
    await empty.close();
  }
});

test('a scrape has the gauges, and /health the alarms that are not ok', async () => {
  await app.database.query(
    `insert into monitoring_state (subject, state, since) values
       ('quality:${version}', 'firing', '2026-11-20T01:00:00Z'), ('coverage:${version}', 'ok', '2026-11-20T01:00:00Z')`,
  );
  const beside = await startTestApp({}, { clock, beside: app, publishesFirst: false });
  try {
    const metrics = await eventually(async () => {
      const text = await (await fetch(`${beside.url}/metrics`)).text();
      return text.includes('ridgeline_alarm{') && text;
    });
    const value = (name: string, label: string) =>
      Number(new RegExp(`^ridgeline_${name}\\{${label}\\} (.*)$`, 'm').exec(metrics as string)?.[1]);
    const of = `version="${version}"`;
    expect(value('quality_rmse', of)).toBeCloseTo(Math.sqrt(5), 9);
    expect(value('quality_rmse_lower', of)).toBeLessThan(Math.sqrt(5));
    expect(value('quality_rmse_upper', of)).toBeGreaterThan(Math.sqrt(5));
    expect(value('quality_bias', of)).toBe(1);
    expect(value('quality_labels', of)).toBe(100);
    expect(value('quality_label_share', of)).toBe(0.5);
    expect(value('quality_coverage', of)).toBe(1);
    expect(value('drift_psi', `${of},feature="RM"`)).toBeLessThan(0.2);
    expect(value('drift_psi', `${of},feature="prediction"`)).toBeGreaterThanOrEqual(0);
    expect(value('alarm', `subject="quality:${version}"`)).toBe(1);
    expect(value('alarm', `subject="coverage:${version}"`)).toBe(0);
    const health = await (await fetch(`${beside.url}/health`)).json();
    expect(health).toMatchObject({
      status: 'ok',
      alarms: [
        { subject: `quality:${version}`, state: 'firing', since: '2026-11-20T01:00:00.000Z' },
        { subject: `drift:${version}`, state: 'pending', since: '2026-11-20T10:30:00.000Z' },
      ],
    });
  } finally {
    await beside.close();
  }
});
