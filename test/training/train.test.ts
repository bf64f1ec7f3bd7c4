import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AGREEMENT_TOLERANCE } from '../../src/agreement.ts';
import type { Contract } from '../../src/contract/contract.ts';
import { fromValues } from '../../src/contract/rows.ts';
import type { Value } from '../../src/contract/values.ts';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { RidgelineError } from '../../src/errors.ts';
import type { Dataset } from '../../src/estimators/dense-matrix.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { loadPredictor } from '../../src/inference/predictor.ts';
import { decodeModel } from '../../src/onnx/messages.ts';
import { publish } from '../../src/publishing/publish.ts';
import { sha256Of } from '../../src/registry/artefacts.ts';
import { type TrainingOptions, trainPipeline } from '../../src/training/train.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { contractOf, everyType } from '../support/declaration.ts';
import { takeRows } from './take-rows.ts';

const options: TrainingOptions = { contract: housing, alpha: 1, seed: 0 };
const dataset = loadHousingDataset();

/** The housing data with one value changed; column 13 is the target. */
function withValue(row: number, column: number, value: number): Dataset {
  const { X, y } = { X: { ...dataset.X, data: dataset.X.data.slice() }, y: dataset.y.slice() };
  if (column === 13) y[row] = value;
  else X.data[row * 13 + column] = value;
  return { X, y };
}

function firstRows(n: number): Dataset {
  return takeRows(
    dataset,
    Array.from({ length: n }, (_, row) => row),
  );
}

function contractWith(...kinds: ('numerical' | 'categorical')[]): Contract {
  return contractOf(
    kinds.map((kind, i) => ({ name: `F${i}`, kind, dtype: kind === 'numerical' ? 'float64' : 'int64' })),
  );
}

describe('a training on the housing data', () => {
  test('gives the same bytes, golden rows and fingerprints each time', async () => {
    const [first, second] = [trainPipeline(dataset, options), await trainPipeline(loadHousingDataset(), options)];
    expect(second).toEqual(first);
    expect(sha256Of(first.artefact)).toBe(first.sha256);
  });

  test('measures the fit as scikit-learn does and says how it was made', async () => {
    const { metrics, hyperparameters } = trainPipeline(dataset, { ...options, alpha: 1, seed: 7 });
    expect(hyperparameters).toEqual({ alpha: 1, seed: 7, folds: 10 });
    expect(metrics.rows).toBe(506);
    expect(metrics.train_rmse).toBeCloseTo(4.595875762134135, 9);
    expect(metrics.train_mae).toBeCloseTo(3.1852429719206325, 9);
    expect(metrics.train_r2).toBeCloseTo(0.7497964336379732, 9);
    expect(metrics.cv_rmse).toBeGreaterThan(metrics.train_rmse!);
    expect(metrics.cv_r2).toBeLessThan(metrics.train_r2!);
    expect(metrics.max_parity_difference).toBeLessThanOrEqual(AGREEMENT_TOLERANCE);
  });

  test('gives the bytes that it gave before values could be missing', () => {
    expect(trainPipeline(dataset, options).sha256).toBe(
      'e3db4ffbff984588c450c2ffc1b95f6d47fd46318166570ad097c6dc6522eb5e',
    );
  });

  test('the seed decides the cross-validation and nothing that is served', async () => {
    const [one, other] = [
      trainPipeline(dataset, { ...options, seed: 1 }),
      trainPipeline(dataset, { ...options, seed: 2 }),
    ];
    expect(one.metrics.cv_rmse).not.toBe(other.metrics.cv_rmse);
    expect(one.sha256).toBe(other.sha256);
  });

  test('one number of the data changes its fingerprint, and a new name of a column does too', async () => {
    const { dataSha256, codeSha256 } = trainPipeline(dataset, options);
    expect(dataSha256).toMatch(/^[0-9a-f]{64}$/);
    expect(codeSha256).toMatch(/^[0-9a-f]{64}$/);
    const changed = trainPipeline(withValue(505, 13, 11.9000001), options);
    expect(changed.dataSha256).not.toBe(dataSha256);
    expect(changed.codeSha256).toBe(codeSha256);
    const [first, ...others] = housing.features;
    const renamed = contractOf([{ ...first, name: 'CRIME' }, ...others]);
    expect(trainPipeline(dataset, { ...options, contract: renamed }).dataSha256).not.toBe(dataSha256);
  });

  test('leaves golden rows from the first to the last, which the artefact reproduces', async () => {
    const { goldenRows, artefact } = trainPipeline(dataset, options);
    expect(goldenRows.features).toHaveLength(16);
    expect(goldenRows.predictions).toHaveLength(16);
    expect(goldenRows.features[0]).toEqual(Array.from(dataset.X.data.subarray(0, 13)));
    expect(goldenRows.features[15]).toEqual(Array.from(dataset.X.data.subarray(505 * 13)));
    const predictor = await loadPredictor({ pipelineVersion: 'new', artefact, goldenRows }, housing);
    predictor.retire();
  });

  test('tells its steps in order, from 0 to 1', async () => {
    const steps: string[] = [];
    const shares: number[] = [];
    trainPipeline(dataset, {
      ...options,
      onProgress: (step, share) => {
        steps.push(step);
        shares.push(share);
      },
    });
    expect(steps[0]).toBe('cross-validation, fold 1 of 10');
    expect(steps.slice(-3)).toEqual(['fit on all rows', 'compare the exported ONNX with the fit', 'done']);
    expect(shares).toEqual(shares.toSorted((a, b) => a - b));
    expect(shares.at(-1)).toBe(1);
  });
});

describe('small and odd data are trained on:', () => {
  test('two rows, each predicted by the other in the cross-validation', async () => {
    const { hyperparameters, goldenRows } = trainPipeline(firstRows(2), options);
    expect(hyperparameters.folds).toBe(2);
    expect(goldenRows.features).toHaveLength(2);
  });

  test('more rows than the comparison with ONNX takes at once', async () => {
    const many = takeRows(
      dataset,
      Array.from({ length: 5000 }, (_, i) => i % 506),
    );
    expect(trainPipeline(many, options).metrics.rows).toBe(5000);
  });

  test('no categorical features, where alpha may be next to nothing', async () => {
    const data = Float64Array.from({ length: 20 }, (_, i) => Math.sin(7 * i));
    const X = { rows: 10, columns: 2, data };
    const y = Float64Array.from({ length: 10 }, (_, row) => 3 * data[2 * row]! - data[2 * row + 1]! + 5);
    const { metrics } = trainPipeline(
      { X, y },
      { contract: contractWith('numerical', 'numerical'), alpha: 1e-12, seed: 0 },
    );
    expect(metrics.cv_rmse).toBeLessThan(1e-9);
  });

  test('no numerical features', async () => {
    const X = { rows: 6, columns: 1, data: Float64Array.of(1, 2, 1, 2, 1, 2) };
    const y = Float64Array.of(10, 20, 10, 20, 10, 20);
    const { goldenRows } = trainPipeline({ X, y }, { contract: contractWith('categorical'), alpha: 1e-6, seed: 0 });
    expect(goldenRows.predictions[0]).toBeCloseTo(10, 4);
  });

  test('a single numerical feature', async () => {
    const X = { rows: 5, columns: 1, data: Float64Array.of(1, 2, 4, 8, 16) };
    const y = Float64Array.of(1, 3, 2, 5, 9);
    const { metrics } = trainPipeline({ X, y }, { contract: contractWith('numerical'), alpha: 1, seed: 0 });
    expect(metrics.max_parity_difference).toBeLessThanOrEqual(AGREEMENT_TOLERANCE);
  });
});

describe('a training on every type, with missing values and unknown texts,', () => {
  /** Prices that follow from the size, the district and the garden. */
  const rows = Array.from({ length: 60 }, (_, i): Value[] => [
    40 + (i % 17) * 5,
    i % 6 === 0 ? null : 1 + (i % 4),
    i % 9 === 0 ? null : i % 3,
    i % 2 === 0,
    i % 5 === 0 ? null : i % 3 === 0,
    ['Mokotów', 'Śródmieście', 'Wola', 'Praga'][i % 4]!,
    [null, 'gas', 'district', 'none'][i % 4]!,
    i % 4 === 0 ? null : 'garage',
    i % 7 === 0 ? null : Math.sin(i),
  ]);
  const X = { rows: 60, columns: 9, data: Float64Array.from(fromValues(everyType, rows).features) };
  const data = { X, y: Float64Array.from(rows, ([size], i) => 10 * Number(size) + (i % 4) * 20 + Math.cos(i)) };
  const trained = trainPipeline(data, { contract: everyType, alpha: 0.1, seed: 0 });

  test('hands over the declaration, and golden rows that hold what is odd first', async () => {
    expect(trained.declaration).toBe(everyType.declaration);
    const { features } = trained.goldenRows;
    expect(features[0]).toEqual([40, null, null, true, null, 'Mokotów', null, null, null]);
    expect(features.slice(0, 3).map((row) => row[5])).toContain('unknown');
    const predictor = await loadPredictor({ pipelineVersion: 'new', ...trained }, everyType);
    predictor.retire();
  });

  test('agrees with the fit, and says what it has learned', () => {
    expect(trained.metrics.max_parity_difference).toBeLessThanOrEqual(AGREEMENT_TOLERANCE);
    expect(trained.metrics.cv_r2).toBeGreaterThan(0.99);
    const { metadataProps } = decodeModel(trained.artefact) as { metadataProps: { key: string; value: string }[] };
    expect(JSON.parse(metadataProps.find(({ key }) => key === 'categories')!.value)).toEqual({
      floor: [0, 1, 2, null],
      lift: [false, true],
      garden: [false, true, null],
      district: ['Mokotów', 'Śródmieście', 'Wola'],
      heating: ['gas', 'district', 'none'],
      'remark/~': [null],
    });
    expect(trained.featureProfile).toMatchObject({ heating: { missing: 15 }, district: { unknown: 15 } });
  });

  test('has another fingerprint when the same places mean other texts', () => {
    const features = everyType.declaration.features.map((feature) =>
      feature.name === 'district' ? { ...feature, categories: ['Mokotów', 'Wola', 'Śródmieście'] } : feature,
    );
    const other = trainPipeline(data, { contract: contractOf(features), alpha: 0.1, seed: 0 });
    expect(other.dataSha256).not.toBe(trained.dataSha256);
  });
});

describe('what cannot be trained on is refused with the reason, and nothing is published:', () => {
  let database: TestDatabase;
  let pool: Pool;
  let modelsDir: string;
  beforeAll(async () => {
    database = await createTestDatabase();
    pool = createPool({ url: database.url, onError: () => undefined, max: 1 });
    modelsDir = await mkdtemp(join(tmpdir(), 'ridgeline-train-'));
  });
  afterAll(async () => {
    await pool.end();
    await rm(modelsDir, { recursive: true });
    await database.drop();
  });

  async function trainAndPublish(data: Dataset, changed: Partial<TrainingOptions>): Promise<void> {
    const pipeline = trainPipeline(data, { ...options, ...changed });
    await publish(pipeline, {
      transaction: (work) => transaction(pool, work),
      modelsDir,
      now: new Date(),
      promotedBy: 'test',
      reason: 'test',
      shipped: options.contract,
    });
  }

  const wide = { X: { rows: 2, columns: 14, data: new Float64Array(28) }, y: new Float64Array(2) };
  const short = { X: { ...dataset.X, data: dataset.X.data.slice(1) }, y: dataset.y };
  const unanswered = { X: dataset.X, y: dataset.y.slice(1) };
  const twice = Array.from({ length: 10 }, (_, i) => [i % 7, i % 7]).flat();
  const collinear = { X: { rows: 10, columns: 2, data: Float64Array.from(twice) }, y: dataset.y.slice(0, 10) };

  test.each<[string, Dataset, Partial<TrainingOptions>, string, RegExp]>([
    ['no rows', firstRows(0), {}, 'training_data', /^There are 0 rows; at least 2/],
    ['one row', firstRows(1), {}, 'training_data', /^There are 1 rows; at least 2/],
    ['NaN', withValue(4, 5, Number.NaN), {}, 'training_data', /^Row 5, RM: not a finite number/],
    ['Infinity', withValue(0, 0, Number.POSITIVE_INFINITY), {}, 'training_data', /^Row 1, CRIM: not a finite number/],
    ['a target of -Infinity', withValue(9, 13, Number.NEGATIVE_INFINITY), {}, 'training_data', /^Row 10, MEDV: not a/],
    ['a fractional category', withValue(505, 8, 24.5), {}, 'training_data', /^Row 506, RAD: 24\.5 is not a whole/],
    ['a category beyond 2^53', withValue(0, 3, 2 ** 53), {}, 'training_data', /^Row 1, CHAS: 9007199254740992 is not/],
    ['14 columns', wide, {}, 'training_data', /^Expected 13 columns \(CRIM, ZN, .*LSTAT\)/],
    ['a matrix that lacks a value', short, {}, 'training_data', /^Expected 13 columns/],
    ['a row without target', unanswered, {}, 'training_data', /one target a row/],
    ['numbers that overflow', withValue(0, 0, 1e200), {}, 'training_data', /^The fit overflows/],
    ['a target whose errors overflow', withValue(0, 13, 1e300), {}, 'training_data', /^cv_rmse, cv_r2.* overflow\./],
    ['alpha -1', dataset, { alpha: -1 }, 'training_data', /^alpha is -1; it must be a finite number above 0/],
    ['alpha NaN', dataset, { alpha: Number.NaN }, 'training_data', /^alpha is NaN/],
    ['alpha Infinity', dataset, { alpha: Number.POSITIVE_INFINITY }, 'training_data', /^alpha is Infinity/],
    ['a fractional seed', dataset, { seed: 0.5 }, 'training_data', /^The seed is 0\.5/],
    ['alpha 0', dataset, { alpha: 0 }, 'training_data', /^alpha is 0; it must be a finite number above 0/],
    [
      'texts of which none is declared',
      { X: { rows: 2, columns: 1, data: Float64Array.of(0, 1) }, y: Float64Array.of(1, 2) },
      { contract: contractOf([{ name: 'remark', dtype: 'string' }]) },
      'training_data',
      /^No feature is a number, and no row has a declared category\. Declare/,
    ],
    [
      'more categories than can be fitted',
      { X: { rows: 2001, columns: 1, data: new Float64Array(2001).map((_, i) => i) }, y: new Float64Array(2001) },
      { contract: contractWith('categorical') },
      'training_data',
      /make 2001 columns; at most 2000 are fitted\. Leave out/,
    ],
    [
      'an alpha that vanishes beside indicators, which always sum to 1',
      dataset,
      { alpha: 1e-300 },
      'singular_system',
      /--alpha 1\.0/,
    ],
    [
      'an alpha that vanishes beside equal columns',
      collinear,
      { alpha: 1e-300, contract: contractWith('numerical', 'numerical') },
      'singular_system',
      /combinations of others and alpha is 1e-300/,
    ],
  ])('%s', async (_, data, changed, code, message) => {
    const error = await trainAndPublish(data, changed).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RidgelineError);
    expect((error as RidgelineError).code).toBe(code);
    expect((error as RidgelineError).message).toMatch(message);
    expect(await database.query('select pipeline_version from ml_pipeline')).toEqual([]);
    expect(await readdir(modelsDir)).toEqual([]);
  });

  test('while the data as they are would be published', async () => {
    await trainAndPublish(dataset, {});
    expect(await database.query('select pipeline_version from ml_pipeline')).toHaveLength(1);
    expect(await readdir(modelsDir)).toHaveLength(2);
  });
});
