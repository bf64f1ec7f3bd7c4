import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { featuresOfKind } from '../../src/contract/contract.ts';
import { fitPipeline, predictPipeline } from '../../src/estimators/pipeline.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { crossValPredict, kFold } from '../../src/training/cross-validation.ts';
import { type RegressionMetrics, regressionMetrics } from '../../src/training/regression-metrics.ts';
import { takeRows } from './take-rows.ts';

/** Measures over all out-of-fold predictions together. */
function measured(...how: Parameters<typeof crossValPredict>): RegressionMetrics {
  return regressionMetrics(how[0].y, crossValPredict(...how));
}

const expected: {
  alpha: number;
  folds: number[][];
  per_fold: RegressionMetrics[];
  pooled: RegressionMetrics;
  training: RegressionMetrics;
} = JSON.parse(readFileSync(new URL('../oracle/fixtures/cross_validation.json', import.meta.url), 'utf8'));

const dataset = loadHousingDataset();
const parameters = {
  alpha: expected.alpha,
  numerical: featuresOfKind(housing, 'numerical'),
  categorical: featuresOfKind(housing, 'categorical'),
};
const folds = expected.folds.map((rows) => Uint32Array.from(rows).sort());

function expectMetrics(actual: RegressionMetrics, wanted: RegressionMetrics): void {
  for (const name of ['rmse', 'mae', 'r2'] as const) {
    expect(Math.abs(actual[name] - wanted[name])).toBeLessThanOrEqual(1e-9);
  }
}

describe('on the folds of the fixture', () => {
  test('the measures over all out-of-fold predictions are those of scikit-learn', () => {
    expectMetrics(measured(dataset, parameters, folds), expected.pooled);
  });

  test('so are the measures of each fold', () => {
    folds.forEach((heldOut, fold) => {
      const rest = dataset.y.map((_, row) => row).filter((row) => !heldOut.includes(row));
      const pipeline = fitPipeline(takeRows(dataset, rest), parameters);
      const { X, y } = takeRows(dataset, heldOut);
      expectMetrics(regressionMetrics(y, predictPipeline(pipeline, X)), expected.per_fold[fold]!);
    });
  });

  test('so are the measures of the fit on all rows', () => {
    const fitted = predictPipeline(fitPipeline(dataset, parameters), dataset.X);
    expectMetrics(regressionMetrics(dataset.y, fitted), expected.training);
  });

  test('the order of the folds does not matter', () => {
    expectMetrics(measured(dataset, parameters, folds.toReversed()), expected.pooled);
  });

  test('each fold is announced when it is done', () => {
    const heard: number[] = [];
    crossValPredict(dataset, parameters, folds, (done) => heard.push(done));
    expect(heard).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});

test('a row is predicted by a fit that has not seen it', () => {
  // Each row alone in its category: a fit that had seen a row would know its target from the category.
  const n = 6;
  const y = Float64Array.of(0, 100, 0, 100, 0, 100);
  const alone = { X: { rows: n, columns: 1, data: Float64Array.from({ length: n }, (_, i) => i) }, y };
  const singles = Array.from({ length: n }, (_, row) => Uint32Array.of(row));
  const { mae } = measured(alone, { alpha: 0.001, numerical: [], categorical: [0] }, singles);
  // The mean of the other five is 60 for the zeros and 40 for the hundreds.
  expect(mae).toBeCloseTo(60, 9);
});

describe('kFold', () => {
  const cut = fc
    .record({ n: fc.integer({ min: 1, max: 300 }), k: fc.integer({ min: 1, max: 20 }), seed: fc.integer() })
    .filter(({ n, k }) => k <= n);

  test('puts every row into exactly one fold', () => {
    fc.assert(
      fc.property(cut, ({ n, k, seed }) => {
        const rows = kFold(n, k, seed).flatMap((fold) => Array.from(fold));
        expect(rows.toSorted((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, row) => row));
      }),
    );
  });

  test('sizes the folds as scikit-learn does: the first n mod k hold one row more', () => {
    expect(kFold(506, 10, 0).map(({ length }) => length)).toEqual(expected.folds.map(({ length }) => length));
    fc.assert(
      fc.property(cut, ({ n, k, seed }) => {
        const sizes = kFold(n, k, seed).map(({ length }) => length);
        expect(sizes).toEqual(Array.from({ length: k }, (_, fold) => Math.floor(n / k) + Number(fold < n % k)));
      }),
    );
  });

  test('gives each fold in ascending order', () => {
    for (const fold of kFold(506, 10, 3)) expect(fold).toEqual(fold.toSorted());
  });

  test('gives the same folds for the same seed and others for another', () => {
    expect(kFold(506, 10, 7)).toEqual(kFold(506, 10, 7));
    expect(kFold(506, 10, 7)).not.toEqual(kFold(506, 10, 8));
  });

  test('gives the folds of seed 0 that it has always given, so that old metrics can be compared', () => {
    expect(kFold(10, 3, 0).map((fold) => Array.from(fold))).toMatchInlineSnapshot(`
      [
        [
          1,
          2,
          4,
          8,
        ],
        [
          5,
          6,
          9,
        ],
        [
          0,
          3,
          7,
        ],
      ]
    `);
  });
});
