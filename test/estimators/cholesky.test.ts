import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { factorise, solveFactorised } from '../../src/estimators/cholesky.ts';

/** G G' + I, p x p, whole. */
function positiveDefinite(G: readonly number[], p: number): Float64Array {
  return Float64Array.from({ length: p * p }, (_, at) => {
    const [j, k] = [Math.floor(at / p), at % p];
    let sum = j === k ? 1 : 0;
    for (let i = 0; i < p; i++) sum += G[j * p + i]! * G[k * p + i]!;
    return sum;
  });
}

test('a matrix of which the factors are known', () => {
  // [2, 0, 0; 6, 1, 0; -8, 5, 3] times its transpose.
  const A = Float64Array.of(4, 0, 0, 12, 37, 0, -16, -43, 98);
  expect(factorise(A, 3)).toBe(1);
  expect(A).toEqual(Float64Array.of(2, 0, 0, 6, 1, 0, -8, 5, 3));
  expect(solveFactorised(A, Float64Array.of(4 - 16, 12 - 43, -16 + 98))).toEqual(Float64Array.of(1, 0, 1));
});

test('nothing has nothing as its solution', () => {
  expect(factorise(new Float64Array(0), 0)).toBe(Number.POSITIVE_INFINITY);
  expect(solveFactorised(new Float64Array(0), new Float64Array(0))).toEqual(new Float64Array(0));
});

const anyMatrix = fc.integer({ min: 1, max: 14 }).chain((p) => {
  const element = fc.integer({ min: -9, max: 9 });
  return fc.record({
    p: fc.constant(p),
    G: fc.array(element, { minLength: p * p, maxLength: p * p }),
    x: fc.array(element, { minLength: p, maxLength: p }),
  });
});

describe('any positive definite matrix', () => {
  test('is the product of its factors, of whose diagonal the smallest pivot is told', () => {
    fc.assert(
      fc.property(anyMatrix, ({ p, G }) => {
        const A = positiveDefinite(G, p);
        const L = A.slice();
        const smallest = factorise(L, p);
        const size = Math.max(...A.map(Math.abs));
        for (let j = 0; j < p; j++) {
          for (let k = 0; k <= j; k++) {
            let sum = 0;
            for (let i = 0; i <= k; i++) sum += L[j * p + i]! * L[k * p + i]!;
            expect(Math.abs(sum - A[j * p + k]!)).toBeLessThanOrEqual(1e-14 * size);
          }
        }
        const diagonal = Array.from({ length: p }, (_, k) => L[k * p + k]! ** 2);
        expect(Math.abs(smallest - Math.min(...diagonal))).toBeLessThanOrEqual(1e-14 * size);
      }),
    );
  });

  test('gives back what it was multiplied by, whatever stands above its diagonal', () => {
    fc.assert(
      fc.property(anyMatrix, ({ p, G, x }) => {
        const A = positiveDefinite(G, p);
        const b = Float64Array.from(x, (_, j) => x.reduce((sum, value, k) => sum + A[j * p + k]! * value, 0));
        const L = A.map((value, at) => (at % p > Math.floor(at / p) ? Number.NaN : value));
        factorise(L, p);
        solveFactorised(L, b).forEach((value, k) => {
          // The smallest eigenvalue is at least 1, the largest below 20,000.
          expect(Math.abs(value - x[k]!)).toBeLessThanOrEqual(1e-8);
        });
      }),
    );
  });
});

test.each<[string, number[], (pivot: number) => boolean]>([
  ['a negative pivot', [1, 0, 2, 1], (pivot) => pivot === -3],
  ['a pivot of 0', [1, 0, 1, 1], (pivot) => pivot === 0],
  ['a pivot that is no number', [1, 0, Number.POSITIVE_INFINITY, 1], (pivot) => !(pivot > 0)],
])('%s is returned: the matrix is not positive definite', (_, A, isExpected) => {
  expect(isExpected(factorise(Float64Array.from(A), 2))).toBe(true);
});
