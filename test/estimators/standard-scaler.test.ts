import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { featuresOfKind } from '../../src/contract/contract.ts';
import type { DenseMatrix } from '../../src/estimators/dense-matrix.ts';
import { fitStandardScaler } from '../../src/estimators/standard-scaler.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';

interface Scaler {
  mean: number[];
  var: number[];
  scale: number[];
}
const boston: { scaler: Scaler } = readFixture('boston');
const synthetic: { sets: { name: string; numerical: string[]; X: number[][]; scaler: Scaler }[] } =
  readFixture('synthetic');

function readFixture<Content>(name: string): Content {
  return JSON.parse(readFileSync(new URL(`../oracle/fixtures/${name}.json`, import.meta.url), 'utf8')) as Content;
}

function matrix(rows: readonly (readonly number[])[]): DenseMatrix {
  return { rows: rows.length, columns: rows[0]!.length, data: Float64Array.from(rows.flat()) };
}

/** The bounds stated in test/oracle/make_fixtures.py: 1e-9, and the rounding of a sum of n terms for the mean. */
function expectScaler(X: DenseMatrix, columns: number[], expected: Scaler): void {
  const fitted = fitStandardScaler(X, columns);
  expect(fitted.nSamplesSeen).toBe(X.rows);
  for (const values of [fitted.mean, fitted.variance, fitted.scale]) expect(values).toHaveLength(columns.length);
  columns.forEach((_, k) => {
    const rounding = X.rows * Number.EPSILON;
    const [mean, variance, scale] = [expected.mean[k]!, expected.var[k]!, expected.scale[k]!];
    expect(Math.abs(fitted.mean[k]! - mean)).toBeLessThanOrEqual(rounding * (Math.abs(mean) + scale));
    expect(Math.abs(fitted.variance[k]! - variance)).toBeLessThanOrEqual(1e-9 * variance + (rounding * mean) ** 2);
    expect(Math.abs(fitted.scale[k]! - scale)).toBeLessThanOrEqual(1e-9 * scale);
    // A column is constant for both or for neither.
    expect(fitted.scale[k] === 1).toBe(scale === 1);
  });
}

describe('against scikit-learn', () => {
  test('the housing columns have its mean, variance and scale', () => {
    expectScaler(loadHousingDataset().X, featuresOfKind(housing, 'numerical'), boston.scaler);
  });

  test.each(synthetic.sets.filter(({ numerical }) => numerical.length > 0))('so do those of: $name', (set) => {
    expectScaler(matrix(set.X), Array.from(set.numerical.keys()), set.scaler);
  });
});

const offsets = fc.constantFrom(0, 1, -1e3, 1e6, 1e9, -1e9);
const spreads = fc.constantFrom(1e-3, 1, 1e3, 1e6);
/** Columns with thousandths of a spread around an offset: up to 12 digits of offset in front of them. */
const column = fc
  .tuple(offsets, spreads, fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 2, maxLength: 40 }))
  .map(([offset, spread, steps]) => steps.map((step) => offset * spread + step * spread))
  .filter((values) => new Set(values).size > 1);

function scaled(values: number[]): { z: number[]; mean: number; scale: number } {
  const fitted = fitStandardScaler(matrix(values.map((value) => [value])), [0]);
  const [mean, scale] = [fitted.mean[0]!, fitted.scale[0]!];
  return { z: values.map((value) => (value - mean) / scale), mean, scale };
}

const average = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('for any column', () => {
  test('the scaled values have mean 0 and variance 1', () => {
    fc.assert(
      fc.property(column, (values) => {
        const { z, mean, scale } = scaled(values);
        const centre = average(z);
        const rounding = 4 * values.length * Number.EPSILON;
        expect(Math.abs(centre)).toBeLessThanOrEqual(rounding * (Math.abs(mean) / scale + 1));
        expect(Math.abs(average(z.map((value) => (value - centre) ** 2)) - 1)).toBeLessThanOrEqual(1e-9);
      }),
    );
  });

  test('an offset moves the mean and leaves the scale', () => {
    fc.assert(
      fc.property(column, fc.integer({ min: -1_000_000, max: 1_000_000 }), (values, offset) => {
        const before = scaled(values);
        const after = scaled(values.map((value) => value + offset));
        const size = Math.max(1, ...values.map(Math.abs), Math.abs(offset));
        expect(Math.abs(after.mean - before.mean - offset)).toBeLessThanOrEqual(values.length * 1e-15 * size);
        // Adding the offset rounds the values themselves, by up to an ulp of the largest.
        expect(Math.abs(after.scale - before.scale)).toBeLessThanOrEqual(1e-9 * before.scale + 1e-15 * size);
      }),
    );
  });

  test('the order of the rows does not matter beyond rounding', () => {
    fc.assert(
      fc.property(column, (values) => {
        const forwards = scaled(values);
        const backwards = scaled(values.toReversed());
        const rounding = 4 * values.length * Number.EPSILON;
        expect(Math.abs(forwards.mean - backwards.mean)).toBeLessThanOrEqual(
          rounding * (Math.abs(forwards.mean) + forwards.scale),
        );
        expect(Math.abs(forwards.scale - backwards.scale)).toBeLessThanOrEqual(1e-9 * forwards.scale);
      }),
    );
  });

  test('a constant is divided by 1, whatever its size and however often it occurs', () => {
    const value = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e150, max: 1e150 });
    fc.assert(
      fc.property(value, fc.integer({ min: 1, max: 300 }), (constant, n) => {
        const { z, scale } = scaled(Array<number>(n).fill(constant));
        expect(scale).toBe(1);
        expect(Math.abs(z[0]!)).toBeLessThanOrEqual(n * Number.EPSILON * Math.abs(constant));
      }),
    );
  });

  test('only the columns that are asked for are fitted, in the order they are asked for', () => {
    const X = matrix([
      [1, 10, 100],
      [3, 30, 500],
    ]);
    expect(Array.from(fitStandardScaler(X, [2, 0]).mean)).toEqual([300, 2]);
    expect(Array.from(fitStandardScaler(X, [2, 0]).variance)).toEqual([40_000, 1]);
    expect(Array.from(fitStandardScaler(X, [2, 0]).scale)).toEqual([200, 1]);
    expect(fitStandardScaler(X, []).mean).toHaveLength(0);
  });
});
