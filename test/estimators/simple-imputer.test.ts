import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DenseMatrix } from '../../src/estimators/dense-matrix.ts';
import { fitSimpleImputer, type ImputedColumn, impute, noImputer } from '../../src/estimators/simple-imputer.ts';

const missing = Number.NaN;

function matrix(rows: readonly (readonly number[])[]): DenseMatrix {
  return { rows: rows.length, columns: rows[0]!.length, data: Float64Array.from(rows.flat()) };
}

const X = matrix([
  [1, missing, 7],
  [missing, 20, missing],
  [4, missing, 8],
  [missing, 10, missing],
]);
const mean = (column: number): ImputedColumn => ({ column, strategy: 'mean' });

describe('what is learned', () => {
  test('is the mean of the values that are there, or the constant that was asked for', () => {
    const fitted = fitSimpleImputer(X, [mean(1), { column: 0, strategy: 'constant', fillValue: -1 }]);
    expect(fitted).toEqual({ columns: [1, 0], statistics: Float64Array.of(15, -1) });
  });

  test('is learned of the given rows alone', () => {
    expect(fitSimpleImputer(X, [mean(0), mean(1)], Uint32Array.of(0, 3)).statistics).toEqual(Float64Array.of(1, 10));
  });

  test('is 0 where no value is there', () => {
    expect(fitSimpleImputer(X, [mean(2)], Uint32Array.of(1, 3)).statistics).toEqual(Float64Array.of(0));
  });

  test('is exact for a constant, and loses no digits to an offset', () => {
    const constant = matrix([[0.1], [missing], [0.1], [0.1], [0.1], [0.1], [0.1]]);
    expect(fitSimpleImputer(constant, [mean(0)]).statistics[0]).toBe(0.1);
    const far = matrix([[2 ** 50 + 1], [missing], [2 ** 50 + 2], [2 ** 50 + 6]]);
    expect(fitSimpleImputer(far, [mean(0)]).statistics[0]).toBe(2 ** 50 + 3);
  });
});

describe('what is imputed', () => {
  test('are the missing values of its columns, in a copy', () => {
    const before = X.data.slice();
    const filled = impute(fitSimpleImputer(X, [mean(0), { column: 2, strategy: 'constant', fillValue: 0 }]), X);
    expect(filled).toEqual(
      matrix([
        [1, missing, 7],
        [2.5, 20, 0],
        [4, missing, 8],
        [2.5, 10, 0],
      ]),
    );
    expect(X.data).toEqual(before);
  });

  test('is written over what an imputer before has written', () => {
    const filled = impute(fitSimpleImputer(X, [mean(0)]), X);
    impute(fitSimpleImputer(X, [mean(0)], Uint32Array.of(0, 1)), X, filled);
    expect(Array.from(filled.data).filter((_, at) => at % 3 === 0)).toEqual([1, 1, 4, 1]);
  });

  test('is nothing without columns: X itself, not a copy', () => {
    expect(impute(noImputer, X)).toBe(X);
  });

  test('leaves no value missing and every other one as it is, whatever the data are', () => {
    const value = fc.oneof(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.constant(missing));
    fc.assert(
      fc.property(fc.array(fc.tuple(value, value), { minLength: 1 }), (rows) => {
        const any = matrix(rows);
        const { data } = impute(fitSimpleImputer(any, [mean(0), mean(1)]), any);
        data.forEach((filled, at) => {
          const given = any.data[at]!;
          expect(Number.isNaN(given) ? Number.isFinite(filled) : filled === given).toBe(true);
        });
      }),
    );
  });
});
