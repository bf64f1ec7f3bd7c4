/** What a caller may want beside a prediction. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { bothWays, startTestApp, type TestApp } from '../support/app.ts';
import { contractOf } from '../support/declaration.ts';
import { eventually } from '../support/eventually.ts';
import { articleRow, type ProblemAnswer, post } from '../support/requests.ts';

interface Interval {
  level: number;
  lower: number;
  upper: number;
}
type Contributions = Record<string, number>;

describe.each(bothWays)('%s', (_way, options) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ MODEL_POLL_SECONDS: '1' }, options);
  });
  afterAll(() => app.close());

  const ask = async <Body>(path: string, body: object) => {
    const response = await post(app.url + path, body);
    return { status: response.status, body: (await response.json()) as Body };
  };
  type One = { prediction: number; interval?: Interval; contributions?: Contributions };
  type Many = { predictions: number[]; intervals?: Interval[]; contributions?: Contributions[] };
  const instances = [articleRow, { ...articleRow, RM: 8.1, RAD: 99 }];
  const sumOf = (contributions: Contributions) => Object.values(contributions).reduce((sum, one) => sum + one, 0);

  test('neither is there unless it is asked for', async () => {
    const usual = ['prediction', 'prediction_id', 'model_version'];
    for (const query of ['', '?contributions=false']) {
      expect(Object.keys((await ask<One>(`/predict${query}`, articleRow)).body)).toEqual(usual);
    }
    const many = await ask<Many>('/predict/batch', { instances });
    expect(Object.keys(many.body)).toEqual(['predictions', 'prediction_ids', 'model_version']);
  });

  test.each(['0.5', '0.90', '0.99'])('an interval of level %s is around the prediction', async (level) => {
    const { body } = await ask<One>(`/predict?interval=${level}`, articleRow);
    const { lower, upper, ...rest } = body.interval!;
    expect(rest).toEqual({ level: Number(level) });
    expect((lower + upper) / 2).toBeCloseTo(body.prediction, 9);
    expect(upper - lower).toBeGreaterThan(2);
    expect(body).not.toHaveProperty('contributions');
  });

  test('each row of a batch has its own, all of one width', async () => {
    const { body } = await ask<Many>('/predict/batch?interval=0.8&contributions=true', { instances });
    expect(body.intervals).toHaveLength(2);
    body.predictions.forEach((prediction, i) => {
      const { lower, upper } = body.intervals![i]!;
      expect((lower + upper) / 2).toBeCloseTo(prediction, 9);
      expect(sumOf(body.contributions![i]!)).toBeCloseTo(prediction, 9);
    });
    const [a, b] = body.intervals as [Interval, Interval];
    expect(a.upper - a.lower).toBeCloseTo(b.upper - b.lower, 9);
  });

  test('contributions have the declared order, and add up with the base value, the mean of the training rows', async () => {
    const { body } = await ask<One>('/predict?contributions=true', articleRow);
    expect(Object.keys(body.contributions!)).toEqual(['base_value', ...housing.names]);
    expect(body.contributions!.base_value).toBeCloseTo(22.532806324110677, 9);
    expect(sumOf(body.contributions!)).toBeCloseTo(body.prediction, 9);
    expect(body).not.toHaveProperty('interval');
  });

  test.each([
    ['interval=0.49', 'interval', 'invalid'],
    ['interval=1', 'interval', 'invalid'],
    ['interval=0.905', 'interval', 'invalid'],
    ['interval=9e-1', 'interval', 'invalid'],
    ['interval=', 'interval', 'invalid'],
    ['interval=0.9&interval=0.9', 'interval', 'repeated_parameter'],
    ['contributions=yes', 'contributions', 'invalid'],
    ['contributions', 'contributions', 'invalid'],
  ])('refuses %s', async (query, parameter, code) => {
    for (const [path, body] of [
      ['/predict', articleRow],
      ['/predict/batch', { instances }],
    ] as const) {
      const answer = await ask<ProblemAnswer>(`${path}?${query}`, body);
      expect(answer).toMatchObject({ status: 422, body: { type: 'urn:ridgeline:error:invalid_parameters' } });
      expect(answer.body.errors).toEqual([{ parameter, code, message: expect.any(String) }]);
    }
  });

  test('newer half-widths are used when they are there, for their version alone', async () => {
    const { body } = await ask<One & { model_version: string }>('/predict', articleRow);
    const widthOf = async () => {
      const { interval } = (await ask<One>('/predict?interval=0.9', articleRow)).body;
      return interval!.upper - interval!.lower;
    };
    const own = await widthOf();
    const add = (version: string, from: string, halfwidths: string) =>
      app.database.query(`insert into interval_quantile values ($1, $2, ${halfwidths}, 200)`, [version, from]);
    const rising = 'array(select 100 + i from generate_series(0, 49) as i)';
    await add('2020_01_01__00_00_00', '2020-01-01', rising);
    await add(body.model_version, '2099-01-01', rising);
    // Not usable: it descends.
    await add(body.model_version, '2020-01-01', 'array(select 100 - i from generate_series(0, 49) as i)');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(await widthOf()).toBeCloseTo(own, 9);
    await add(body.model_version, '2020-01-02', rising);
    await eventually(async () => Math.abs((await widthOf()) - 280) < 1e-9);
  });

  test('a version that cannot tell them refuses, and stores nothing of the request', async () => {
    const contract = contractOf([{ name: 'x', dtype: 'float64' }]);
    const n = 12;
    const X = { rows: n, columns: 1, data: Float64Array.from({ length: n }, (_, i) => i) };
    const trained = trainPipeline({ X, y: X.data.map((x) => 3 * x + Math.sin(x)) }, { contract, alpha: 1, seed: 0 });
    await app.publish({ ...trained, explanation: null });
    expect((await ask<One>('/predict?interval=0.9', { x: 1 })).status).toBe(200);
    const count = async () => Number((await app.database.query('select count(*) from predictions'))[0]!.count);
    await eventually(async () => app.app.operations.health().then(({ backlog }) => backlog.rows === 0));
    const before = await count();
    for (const [query, code] of [
      ['interval=0.95', 'interval_unavailable'],
      ['contributions=true', 'contributions_unavailable'],
    ]) {
      const one = await ask<ProblemAnswer>(`/predict?${query}`, { x: 1 });
      expect(one).toMatchObject({ status: 422, body: { type: `urn:ridgeline:error:${code}` } });
      const many = await ask<ProblemAnswer>(`/predict/batch?${query}`, { instances: [{ x: 1 }] });
      expect(many).toMatchObject({ status: 422, body: { type: `urn:ridgeline:error:${code}` } });
    }
    // Beside others, which are answered.
    const [refused, answered] = await Promise.all([
      ask('/predict?contributions=true', { x: 1 }),
      ask('/predict', { x: 1 }),
    ]);
    expect([refused.status, answered.status]).toEqual([422, 200]);
    await eventually(async () => (await count()) === before + 1);
  });
});

test('the intervals of MAPIE come out of the service, given its residuals', async () => {
  const golden = JSON.parse(
    readFileSync(new URL('../oracle/fixtures/learning-loop/conformal.json', import.meta.url), 'utf8'),
  ) as { residual: number[]; rows: number[]; interval: Record<string, [number, number][]> };
  const app = await startTestApp();
  try {
    const dataset = loadHousingDataset();
    const trained = trainPipeline(dataset, { contract: housing, alpha: 1, seed: 0 });
    const residuals = golden.residual.map(Math.abs).sort((a, b) => a - b);
    await app.publish({ ...trained, residuals });
    const instances = golden.rows.map((row) =>
      Object.fromEntries(housing.names.map((name, column) => [name, dataset.X.data[row * 13 + column]])),
    );
    for (const [level, expected] of Object.entries(golden.interval)) {
      const response = await post(`${app.url}/predict/batch?interval=${level}`, { instances });
      const { intervals } = (await response.json()) as { intervals: Interval[] };
      intervals.forEach(({ lower, upper }, i) => {
        expect(lower).toBeCloseTo(expected[i]![0], 8);
        expect(upper).toBeCloseTo(expected[i]![1], 8);
      });
    }
  } finally {
    await app.close();
  }
});
