import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { featuresOfKind } from '../../src/contract/contract.ts';
import type { Dataset, DenseMatrix } from '../../src/estimators/dense-matrix.ts';
import {
  type FittedPipeline,
  fitPipeline,
  type PipelineParameters,
  predictPipeline,
} from '../../src/estimators/pipeline.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';

interface Answers {
  coef: number[];
  intercept: number;
  predictions: number[];
}
interface SyntheticSet extends Answers {
  name: string;
  numerical: string[];
  categorical: string[];
  X: number[][];
  y: number[];
  alpha: number;
  new_rows: number[][];
  new_predictions: number[];
  solver_spread?: number;
  intercept_slack?: number;
}
const boston: { extra_rows: number[][]; alphas: Record<string, Answers & { extra: number[] }> } = readFixture('boston');
const synthetic: { sets: SyntheticSet[] } = readFixture('synthetic');

function readFixture<Content>(name: string): Content {
  return JSON.parse(readFileSync(new URL(`../oracle/fixtures/${name}.json`, import.meta.url), 'utf8')) as Content;
}

function matrix(rows: readonly (readonly number[])[]): DenseMatrix {
  return { rows: rows.length, columns: rows[0]!.length, data: Float64Array.from(rows.flat()) };
}

/** The largest |actual - expected| / max(1, |expected|); NaN counts as infinite. */
function largestDifference(actual: Float64Array, expected: readonly number[]): number {
  expect(actual).toHaveLength(expected.length);
  return expected.reduce((largest, value, i) => {
    const difference = Math.abs(actual[i]! - value) / Math.max(1, Math.abs(value));
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(largest, difference);
  }, 0);
}

describe('against scikit-learn on Boston housing', () => {
  const dataset = loadHousingDataset();
  const roles = {
    numerical: featuresOfKind(housing, 'numerical'),
    categorical: featuresOfKind(housing, 'categorical'),
  };

  test.each(Object.keys(boston.alphas))('alpha %s gives its coefficients and its predictions', (alpha) => {
    const expected = boston.alphas[alpha]!;
    const pipeline = fitPipeline(dataset, { ...roles, alpha: Number(alpha) });
    expect(pipeline.nFeaturesIn).toBe(13);
    expect(largestDifference(pipeline.ridge.coef, expected.coef)).toBeLessThanOrEqual(1e-9);
    expect(Math.abs(pipeline.ridge.intercept - expected.intercept)).toBeLessThanOrEqual(1e-9);
    const predictions = predictPipeline(pipeline, dataset.X);
    expected.predictions.forEach((value, row) => {
      expect(Math.abs(predictions[row]! - value)).toBeLessThanOrEqual(1e-9);
    });
    expect(predictions).toHaveLength(506);
    expect(largestDifference(predictPipeline(pipeline, matrix(boston.extra_rows)), expected.extra)).toBeLessThanOrEqual(
      1e-9,
    );
  });

  test("the article's house is worth what the article says", () => {
    const house = [0.00632, 18, 2.31, 0, 0.538, 6.575, 65.2, 4.09, 1, 296, 15.3, 396.9, 4.98];
    const [prediction] = predictPipeline(fitPipeline(dataset, { ...roles, alpha: 1 }), matrix([house]));
    expect(Math.abs(prediction! - 28.407883219473852)).toBeLessThanOrEqual(1e-9);
  });
});

describe('against scikit-learn on sets that corner the arithmetic', () => {
  test('there are 55 of them', () => {
    expect(synthetic.sets).toHaveLength(55);
  });

  test.each(synthetic.sets)('$name', (set) => {
    const pipeline = fitPipeline(
      { X: matrix(set.X), y: Float64Array.from(set.y) },
      {
        alpha: set.alpha,
        numerical: Array.from(set.numerical.keys()),
        categorical: set.categorical.map((_, k) => set.numerical.length + k),
      },
    );
    const tolerance = 1e-9 + (set.solver_spread ?? 0);
    expect(largestDifference(pipeline.ridge.coef, set.coef)).toBeLessThanOrEqual(tolerance);
    expect(largestDifference(predictPipeline(pipeline, matrix(set.X)), set.predictions)).toBeLessThanOrEqual(tolerance);
    expect(largestDifference(predictPipeline(pipeline, matrix(set.new_rows)), set.new_predictions)).toBeLessThanOrEqual(
      tolerance,
    );
    expect(Math.abs(pipeline.ridge.intercept - set.intercept)).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(set.intercept)) + (set.intercept_slack ?? 0),
    );
  });
});

/** Two numerical columns, a third that may be constant or their combination, and two categorical ones. */
const samples = fc
  .record({
    rows: fc.array(
      fc.tuple(
        fc.integer({ min: -1000, max: 1000 }),
        fc.integer({ min: -1000, max: 1000 }),
        fc.integer({ min: -2, max: 2 }),
        fc.integer({ min: 0, max: 1 }),
        fc.integer({ min: -5000, max: 5000 }),
      ),
      { minLength: 1, maxLength: 15 },
    ),
    third: fc.constantFrom<(a: number, b: number) => number>(
      () => 0.1,
      (a) => a,
      (a, b) => 2 * a - 3 * b,
      (a, b) => a * b,
      (a) => 1e6 + a,
    ),
    oneCategory: fc.boolean(),
    alpha: fc.constantFrom(0.1, 1, 100),
  })
  .map(({ rows, third, oneCategory, alpha }) => ({
    rows: rows.map(([a, b, c, d]) => [a / 100, b / 100, third(a / 100, b / 100), oneCategory ? 3 : c, d]),
    y: rows.map((row) => row[4] / 100),
    parameters: { alpha, numerical: [0, 1, 2], categorical: [3, 4] } satisfies PipelineParameters,
  }));

function train(rows: number[][], y: number[], parameters: PipelineParameters): FittedPipeline {
  const dataset: Dataset = { X: matrix(rows), y: Float64Array.from(y) };
  return fitPipeline(dataset, parameters);
}

function predict(pipeline: FittedPipeline, rows: number[][]): number[] {
  return Array.from(predictPipeline(pipeline, matrix(rows)));
}

function expectClose(actual: number[], expected: number[], tolerance: number): void {
  expect(largestDifference(Float64Array.from(actual), expected)).toBeLessThanOrEqual(tolerance);
}

describe('for any data', () => {
  test('the residuals of the fit sum to 0', () => {
    fc.assert(
      fc.property(samples, ({ rows, y, parameters }) => {
        const predictions = predict(train(rows, y, parameters), rows);
        expect(Math.abs(y.reduce((sum, value, i) => sum + value - predictions[i]!, 0))).toBeLessThanOrEqual(1e-8);
      }),
    );
  });

  test('the order of the training rows does not matter', () => {
    fc.assert(
      fc.property(samples, fc.infiniteStream(fc.nat()), ({ rows, y, parameters }, keys) => {
        const order = rows.map((_, row) => ({ row, key: keys.next().value as number }));
        order.sort((a, b) => a.key - b.key);
        const shuffled = train(
          order.map(({ row }) => rows[row]!),
          order.map(({ row }) => y[row]!),
          parameters,
        );
        expectClose(predict(shuffled, rows), predict(train(rows, y, parameters), rows), 1e-7);
      }),
    );
  });

  test('an offset and a unit of a numerical column change no prediction', () => {
    fc.assert(
      fc.property(
        samples,
        fc.integer({ min: -100_000, max: 100_000 }),
        fc.constantFrom(-1, 2 ** -20, 2 ** 20),
        ({ rows, y, parameters }, offset, unit) => {
          const move = (values: number[][]) => values.map(([a, ...others]) => [(a! + offset) * unit, ...others]);
          expectClose(
            predict(train(move(rows), y, parameters), move(rows)),
            predict(train(rows, y, parameters), rows),
            1e-6,
          );
        },
      ),
    );
  });

  test('renamed categories change no prediction', () => {
    fc.assert(
      fc.property(samples, ({ rows, y, parameters }) => {
        const rename = (values: number[][]) => values.map(([a, b, c, d, e]) => [a!, b!, c!, 100 - 7 * d!, e!]);
        expectClose(
          predict(train(rename(rows), y, parameters), rename(rows)),
          predict(train(rows, y, parameters), rows),
          1e-7,
        );
      }),
    );
  });

  test('as alpha grows without end every prediction becomes the mean of the targets', () => {
    fc.assert(
      fc.property(samples, ({ rows, y, parameters }) => {
        const mean = y.reduce((sum, value) => sum + value, 0) / y.length;
        expectClose(
          predict(train(rows, y, { ...parameters, alpha: 1e18 }), rows),
          y.map(() => mean),
          1e-9,
        );
      }),
    );
  });

  test('an unknown category is worth what no category is worth: its weights are left out', () => {
    fc.assert(
      fc.property(samples, ({ rows, y, parameters }) => {
        const pipeline = train(rows, y, parameters);
        const { scaler } = pipeline.transformer;
        const unknown = rows.map(([a, b, c]) => [a!, b!, c!, 99, -99]);
        const expected = unknown.map((row) =>
          [0, 1, 2].reduce(
            (sum, k) => sum + pipeline.ridge.coef[k]! * ((row[k]! - scaler.mean[k]!) / scaler.scale[k]!),
            pipeline.ridge.intercept,
          ),
        );
        expectClose(predict(pipeline, unknown), expected, 1e-12);
      }),
    );
  });
});

test('with alpha 0 the indicators of a category, which always sum to 1, make the system singular', () => {
  expect(() =>
    train(
      [
        [1, 2, 3, 0, 0],
        [2, 5, 1, 1, 1],
      ],
      [1, 2],
      { alpha: 0, numerical: [0, 1, 2], categorical: [3, 4] },
    ),
  ).toThrow(expect.objectContaining({ code: 'singular_system' }));
});
