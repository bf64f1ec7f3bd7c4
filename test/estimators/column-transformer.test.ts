import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { featuresOfKind } from '../../src/contract/contract.ts';
import { type ColumnRoles, fitColumnTransformer, rowTransformer } from '../../src/estimators/column-transformer.ts';
import type { DenseMatrix } from '../../src/estimators/dense-matrix.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';

const boston: {
  columns: string[];
  numerical: string[];
  feature_names: string[];
  scaler: { mean: number[]; scale: number[] };
  extra_rows: number[][];
} = JSON.parse(readFileSync(new URL('../oracle/fixtures/boston.json', import.meta.url), 'utf8'));

const roles: ColumnRoles = {
  numerical: featuresOfKind(housing, 'numerical'),
  categorical: featuresOfKind(housing, 'categorical'),
};

function matrix(rows: readonly (readonly number[])[]): DenseMatrix {
  return { rows: rows.length, columns: rows[0]!.length, data: Float64Array.from(rows.flat()) };
}

/** Every row transformed; the buffer holds rubbish before each, as it does when it is used again. */
function transform(fittedOn: DenseMatrix, X: DenseMatrix, columns: ColumnRoles): number[][] {
  const fitted = fitColumnTransformer(fittedOn, columns);
  const readRow = rowTransformer(fitted, X);
  return Array.from({ length: X.rows }, (_, row) => {
    const out = new Float64Array(fitted.width).fill(Number.NaN);
    readRow(row, out);
    return Array.from(out);
  });
}

describe('against scikit-learn', () => {
  /** One value of a transformed row, from the name that scikit-learn gives to its column. */
  function expectedValue(name: string, row: readonly number[]): number {
    const [part, column] = name.split('__') as [string, string];
    if (part === 'categorical') {
      const [, feature, category] = /^(.+)_(-?\d+)$/.exec(column)!;
      return Number(row[boston.columns.indexOf(feature!)] === Number(category));
    }
    const k = boston.numerical.indexOf(column);
    return (row[boston.columns.indexOf(column)]! - boston.scaler.mean[k]!) / boston.scaler.scale[k]!;
  }

  function expectTransformed(rows: number[][], actual: number[][]): void {
    let largest = 0;
    actual.forEach((values, i) => {
      const expected = boston.feature_names.map((name) => expectedValue(name, rows[i]!));
      expect(values).toHaveLength(expected.length);
      values.forEach((value, k) => {
        const difference = Math.abs(value - expected[k]!) / Math.max(1, Math.abs(expected[k]!));
        largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(largest, difference);
      });
    });
    expect(actual).toHaveLength(rows.length);
    expect(largest).toBeLessThanOrEqual(1e-9);
  }

  const { X } = loadHousingDataset();

  test('the 506 transformed rows have its columns in its order', () => {
    const rows = Array.from({ length: X.rows }, (_, i) => Array.from(X.data.slice(i * X.columns, (i + 1) * X.columns)));
    expectTransformed(rows, transform(X, X, roles));
  });

  test('so have rows with unknown categories and far outside the range', () => {
    expectTransformed(boston.extra_rows, transform(X, matrix(boston.extra_rows), roles));
  });
});

describe('for any data', () => {
  const category = fc.integer({ min: -3, max: 3 });
  const rows = fc.array(fc.tuple(fc.integer({ min: -100, max: 100 }), category, category), {
    minLength: 1,
    maxLength: 20,
  });
  const oneNumerical: ColumnRoles = { numerical: [0], categorical: [1, 2] };

  test('a row that was fitted on has exactly one indicator in each block', () => {
    fc.assert(
      fc.property(rows, (samples) => {
        const X = matrix(samples);
        const first = new Set(samples.map((row) => row[1])).size;
        for (const row of transform(X, X, oneNumerical)) {
          expect(row.slice(1, 1 + first).toSorted()).toEqual([...Array<number>(first - 1).fill(0), 1]);
          expect(row.slice(1 + first).filter((value) => value === 1)).toHaveLength(1);
          expect(row.slice(1 + first).filter((value) => value !== 0)).toHaveLength(1);
        }
      }),
    );
  });

  test('an unknown category gives zeros in its block and leaves the rest of the row', () => {
    fc.assert(
      fc.property(rows, fc.constantFrom(99, -99, 0.5, 1e300), (samples, unknown) => {
        const X = matrix(samples);
        const first = new Set(samples.map((row) => row[1])).size;
        const known = transform(X, X, oneNumerical);
        const changed = transform(X, matrix(samples.map(([number, , last]) => [number, unknown, last])), oneNumerical);
        changed.forEach((row, i) => {
          expect(row.slice(1, 1 + first)).toEqual(Array(first).fill(0));
          expect([row[0], ...row.slice(1 + first)]).toEqual([known[i]![0], ...known[i]!.slice(1 + first)]);
        });
      }),
    );
  });

  test('-0 is the known category 0', () => {
    const X = matrix([[0], [1]]);
    expect(transform(X, matrix([[-0]]), { numerical: [], categorical: [0] })).toEqual([[1, 0]]);
  });

  test('the positions of the columns are free', () => {
    const X = matrix([
      [5, 1, 10],
      [6, 3, 30],
    ]);
    expect(transform(X, X, { numerical: [2, 1], categorical: [0] })).toEqual([
      [-1, -1, 1, 0],
      [1, 1, 0, 1],
    ]);
  });

  test('there may be no numerical columns, or no categorical ones', () => {
    const X = matrix([
      [5, 1],
      [6, 3],
    ]);
    expect(transform(X, X, { numerical: [], categorical: [0, 1] })).toEqual([
      [1, 0, 1, 0],
      [0, 1, 0, 1],
    ]);
    expect(transform(X, X, { numerical: [0, 1], categorical: [] })).toEqual([
      [-1, -1],
      [1, 1],
    ]);
  });
});
