import fc from 'fast-check';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { describe, expect, test } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import { type DesignMatrix, type FittedRidge, fitRidge, predictRidge } from '../../src/estimators/ridge.ts';

function design(rows: readonly (readonly number[])[], columns = rows[0]!.length): DesignMatrix {
  return { rows: rows.length, columns, readRow: (row, out) => out.set(rows[row]!) };
}

function ridge(rows: readonly (readonly number[])[], y: readonly number[], alpha: number): FittedRidge {
  return fitRidge(design(rows), Float64Array.from(y), { alpha });
}

function residuals(fitted: FittedRidge, rows: readonly (readonly number[])[], y: readonly number[]): number[] {
  return rows.map((row, i) => y[i]! - predictRidge(fitted, Float64Array.from(row)));
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const norm = (values: Iterable<number>) => Math.hypot(...values);

const hundredths = (limit: number) => fc.integer({ min: -limit * 100, max: limit * 100 }).map((value) => value / 100);

/** Samples of any shape, wide ones too, with columns that may be constant or combinations of each other. */
const samples = fc.integer({ min: 1, max: 6 }).chain((columns) =>
  fc.record({
    rows: fc
      .array(fc.array(hundredths(10), { minLength: columns, maxLength: columns }), { minLength: 1, maxLength: 12 })
      .chain((rows) =>
        fc.constantFrom<number[][]>(
          rows,
          rows.map((row) => [...row, row[0]!]),
          rows.map((row) => [...row, 2 * row[0]! - 3 * row[columns - 1]!]),
          rows.map((row) => [...row, 7]),
        ),
      ),
    targets: fc.array(hundredths(100), { minLength: 12, maxLength: 12 }),
    alpha: fc.constantFrom(0.01, 1, 10, 1000),
  }),
);

describe('for any samples', () => {
  test('the normal equations hold: the residual of each centred column is alpha times its weight', () => {
    fc.assert(
      fc.property(samples, ({ rows, targets, alpha }) => {
        const y = targets.slice(0, rows.length);
        const fitted = ridge(rows, y, alpha);
        const rest = residuals(fitted, rows, y);
        fitted.coef.forEach((weight, k) => {
          const column = rows.map((row) => row[k]!);
          const centre = mean(column);
          const moment = column.reduce((sum, value, i) => sum + (value - centre) * rest[i]!, 0);
          // Terms of up to 10 x 200 and weights of up to 1e3 cancel here.
          expect(Math.abs(moment - alpha * weight)).toBeLessThanOrEqual(1e-9 * Math.max(1, alpha) * 1e3);
        });
      }),
    );
  });

  test('the residuals sum to 0, as the intercept is not penalised', () => {
    fc.assert(
      fc.property(samples, ({ rows, targets, alpha }) => {
        const y = targets.slice(0, rows.length);
        const total = residuals(ridge(rows, y, alpha), rows, y).reduce((sum, value) => sum + value, 0);
        expect(Math.abs(total)).toBeLessThanOrEqual(1e-9);
      }),
    );
  });

  test('a larger alpha never makes the weights longer', () => {
    fc.assert(
      fc.property(samples, ({ rows, targets, alpha }) => {
        const y = targets.slice(0, rows.length);
        const before = norm(ridge(rows, y, alpha).coef);
        expect(norm(ridge(rows, y, alpha * 10).coef)).toBeLessThanOrEqual(before * (1 + 1e-9));
      }),
    );
  });

  test('as alpha grows without end the weights vanish and the prediction becomes the mean', () => {
    fc.assert(
      fc.property(samples, ({ rows, targets }) => {
        const y = targets.slice(0, rows.length);
        const fitted = ridge(rows, y, 1e18);
        expect(norm(fitted.coef)).toBeLessThanOrEqual(1e-12);
        expect(Math.abs(fitted.intercept - mean(y))).toBeLessThanOrEqual(1e-10);
      }),
    );
  });

  test('an offset of a column, however large, changes no weight', () => {
    fc.assert(
      fc.property(samples, fc.integer({ min: -1_000_000, max: 1_000_000 }), ({ rows, targets, alpha }, offset) => {
        const y = targets.slice(0, rows.length);
        const moved = rows.map(([first, ...others]) => [first! + offset, ...others]);
        const before = ridge(rows, y, alpha);
        const after = ridge(moved, y, alpha);
        // The offset costs six of sixteen digits of the first column; alpha 0.01 magnifies what is left.
        before.coef.forEach((weight, k) => {
          expect(Math.abs(after.coef[k]! - weight)).toBeLessThanOrEqual(1e-4 * Math.max(1, norm(before.coef)));
        });
        expect(Math.abs(mean(residuals(after, moved, y)))).toBeLessThanOrEqual(1e-6);
      }),
    );
  });

  test('targets moved by a constant move the intercept alone', () => {
    fc.assert(
      fc.property(samples, hundredths(1000), ({ rows, targets, alpha }, offset) => {
        const y = targets.slice(0, rows.length);
        const before = ridge(rows, y, alpha);
        const after = ridge(
          rows,
          y.map((value) => value + offset),
          alpha,
        );
        before.coef.forEach((weight, k) => {
          expect(Math.abs(after.coef[k]! - weight)).toBeLessThanOrEqual(1e-8);
        });
        expect(Math.abs(after.intercept - before.intercept - offset)).toBeLessThanOrEqual(1e-7);
      }),
    );
  });
});

test('with alpha 0 a linear relation is found again', () => {
  const rows = [
    [1, 4],
    [2, -1],
    [3, 2],
    [5, 0],
    [8, 8],
  ];
  const fitted = ridge(
    rows,
    rows.map(([a, b]) => 3 * a! - 2 * b! + 7),
    0,
  );
  expect(fitted.coef[0]).toBeCloseTo(3, 12);
  expect(fitted.coef[1]).toBeCloseTo(-2, 12);
  expect(fitted.intercept).toBeCloseTo(7, 12);
  expect(fitted.alpha).toBe(0);
});

test('one column has the weight of the formula', () => {
  // Centred: x = -1, 0, 1 and y = -2, 0, 2, so w = 4 / (2 + alpha).
  const fitted = ridge([[9], [10], [11]], [3, 5, 7], 2);
  expect(Array.from(fitted.coef)).toEqual([1]);
  expect(fitted.intercept).toBe(-5);
});

test('without columns the prediction is the mean', () => {
  const fitted = fitRidge(design([[], []], 0), Float64Array.of(1, 4), { alpha: 1 });
  expect(fitted).toEqual({ coef: new Float64Array(0), intercept: 2.5, alpha: 1 });
});

test('a constant column gets no weight', () => {
  const fitted = ridge(
    [
      [1, 5],
      [2, 5],
      [4, 5],
    ],
    [1, 2, 3],
    0.5,
  );
  expect(fitted.coef[1]).toBe(0);
});

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof RidgelineError) return error.code;
    throw error;
  }
  return 'no error';
}

describe('with alpha 0 a system without a unique solution is singular:', () => {
  const numbers = [1, 2, 4, 8, 16];
  const y = [1, 2, 3, 4, 6];
  test.each([
    ['equal columns', numbers.map((value) => [value, value])],
    ['a constant column', numbers.map((value) => [value, 3])],
    ['collinear columns', numbers.map((value, i) => [value, i, 2 * value - 3 * i])],
    ['collinear columns with a large offset', numbers.map((value, i) => [1e6 + value, i, value - i])],
    ['indicators that always sum to 1', numbers.map((_, i) => [Number(i < 2), Number(i >= 2)])],
    [
      'more columns than rows',
      [[1, 2, 3, 5, 7, 11], ...numbers.slice(1).map((value, i) => [value, i, i * i, 1, value * i, 0])],
    ],
    ['a single row', [[1]]],
  ])('%s', (_, rows) => {
    expect(codeOf(() => ridge(rows, y.slice(0, rows.length), 0))).toBe('singular_system');
  });

  test('indicators of categories that are rare and common, however many rows there are', () => {
    const manyRows = fc.record({
      rows: fc.constantFrom(506, 5_000, 20_000),
      categories: fc.integer({ min: 2, max: 30 }),
      // The larger, the more rows have the first of the categories.
      skew: fc.double({ min: 1, max: 5, noNaN: true }),
      seed: fc.integer(),
    });
    fc.assert(
      fc.property(manyRows, ({ rows, categories, skew, seed }) => {
        const random = xoroshiro128plus(seed);
        const uniform = () => uniformInt(random, 0, 2 ** 31 - 1) / 2 ** 31;
        const category = Int32Array.from({ length: rows }, () => Math.floor(categories * uniform() ** skew));
        const readRow: DesignMatrix['readRow'] = (row, out) => {
          out.fill(0);
          out[category[row]!] = 1;
        };
        const y = Float64Array.from({ length: rows }, uniform);
        expect(codeOf(() => fitRidge({ rows, columns: categories, readRow }, y, { alpha: 0 }))).toBe('singular_system');
      }),
      { numRuns: 30 },
    );
  });

  test('and the message names the way out', () => {
    expect(() =>
      ridge(
        numbers.map((value) => [value, value]),
        y,
        0,
      ),
    ).toThrow(/--alpha 1\.0/);
  });
});

describe('numbers that overflow are refused as training data:', () => {
  test.each([
    ['a column', [[1e200], [-1e200], [3]], [1, 2, 3]],
    ['the sum of a column', [[1.7e308], [1.7e308], [1]], [1, 2, 3]],
    ['the targets', [[1], [2], [4]], [1.7e308, -1.7e308, 1.7e308]],
  ])('%s', (_, rows, y) => {
    expect(codeOf(() => ridge(rows, y, 1))).toBe('training_data');
  });
});
