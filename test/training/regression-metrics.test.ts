import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { type RegressionMetrics, regressionMetrics } from '../../src/training/regression-metrics.ts';

const expected: {
  folds: number[][];
  per_fold: RegressionMetrics[];
  pooled: RegressionMetrics;
  out_of_fold: number[];
} = JSON.parse(readFileSync(new URL('../oracle/fixtures/cross_validation.json', import.meta.url), 'utf8'));

const { y } = loadHousingDataset();

function expectMetrics(actual: RegressionMetrics, wanted: RegressionMetrics): void {
  for (const name of ['rmse', 'mae', 'r2'] as const) {
    expect(Math.abs(actual[name] - wanted[name])).toBeLessThanOrEqual(1e-12);
  }
}

test('the measures of 506 predictions are those of scikit-learn', () => {
  expectMetrics(regressionMetrics(y, Float64Array.from(expected.out_of_fold)), expected.pooled);
});

test('so are those of each fold', () => {
  expect(expected.folds).toHaveLength(10);
  expected.folds.forEach((rows, fold) => {
    const actual = Float64Array.from(rows, (row) => y[row]!);
    const predicted = Float64Array.from(rows, (row) => expected.out_of_fold[row]!);
    expectMetrics(regressionMetrics(actual, predicted), expected.per_fold[fold]!);
  });
});

test('by hand: errors of 1, -1 and 2 on targets 1, 2 and 6', () => {
  const { rmse, mae, r2 } = regressionMetrics(Float64Array.of(1, 2, 6), Float64Array.of(0, 3, 4));
  expect(rmse).toBeCloseTo(Math.sqrt(2), 14);
  expect(mae).toBeCloseTo(4 / 3, 14);
  expect(r2).toBeCloseTo(1 - 6 / 14, 14);
});

test('a constant target has r2 1 when it is met exactly and 0 when it is not', () => {
  expect(regressionMetrics(Float64Array.of(5, 5), Float64Array.of(5, 5))).toEqual({ rmse: 0, mae: 0, r2: 1 });
  expect(regressionMetrics(Float64Array.of(5, 5), Float64Array.of(5, 6)).r2).toBe(0);
});

test('for any targets, exact predictions are perfect and the mean explains nothing', () => {
  const targets = fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 2 });
  fc.assert(
    fc.property(targets, (values) => {
      fc.pre(new Set(values).size > 1);
      const actual = Float64Array.from(values);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      expect(regressionMetrics(actual, actual)).toEqual({ rmse: 0, mae: 0, r2: 1 });
      expect(
        regressionMetrics(
          actual,
          actual.map(() => mean),
        ).r2,
      ).toBeCloseTo(0, 9);
      const { rmse, mae } = regressionMetrics(actual, new Float64Array(values.length));
      expect(rmse).toBeGreaterThanOrEqual(mae - 1e-9);
    }),
  );
});
