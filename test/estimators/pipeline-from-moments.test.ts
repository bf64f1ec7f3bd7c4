import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { disagreement, sizeOf } from '../../src/agreement.ts';
import { featuresOfKind } from '../../src/contract/contract.ts';
import type { Dataset } from '../../src/estimators/dense-matrix.ts';
import { addMoments, type Moments, momentsOf } from '../../src/estimators/moments.ts';
import { fitOneHotEncoder } from '../../src/estimators/one-hot-encoder.ts';
import {
  type FittedPipeline,
  fitPipeline,
  type PipelineParameters,
  predictPipeline,
  transformedWidth,
} from '../../src/estimators/pipeline.ts';
import { fitPipelineFromMoments, fitWidePipeline } from '../../src/estimators/pipeline-from-moments.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';

interface SyntheticSet {
  name: string;
  numerical: string[];
  categorical: string[];
  X: number[][];
  y: number[];
  alpha: number;
  predictions: number[];
  new_rows: number[][];
  new_predictions: number[];
  solver_spread?: number;
}
const synthetic: { sets: SyntheticSet[] } = JSON.parse(
  readFileSync(new URL('../oracle/fixtures/synthetic.json', import.meta.url), 'utf8'),
);

function matrix(rows: readonly (readonly number[])[]) {
  return { rows: rows.length, columns: rows[0]!.length, data: Float64Array.from(rows.flat()) };
}

/** The rows dealt out to `count` sets, or as many as there are rows, and the moments of each. */
function momentsInParts(dataset: Dataset, parameters: PipelineParameters, count: number): Moments[] {
  const encoder = fitOneHotEncoder(dataset.X, parameters.categorical);
  return Array.from({ length: Math.min(count, dataset.X.rows) }, (_, part) => {
    const rows = Uint32Array.from(dataset.y.keys()).filter((row) => row % count === part);
    return momentsOf(dataset, rows, parameters, encoder);
  });
}

function fitInParts(dataset: Dataset, parameters: PipelineParameters, count: number): FittedPipeline {
  const encoder = fitOneHotEncoder(dataset.X, parameters.categorical);
  const moments = addMoments(momentsInParts(dataset, parameters, count));
  return fitPipelineFromMoments(moments, encoder, parameters, dataset.X.columns);
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual).toHaveLength(expected.length);
  const size = sizeOf(expected);
  for (let i = 0; i < expected.length; i++) {
    const difference = disagreement(actual[i]!, expected[i]!, size);
    // Written so that NaN fails.
    expect(difference <= tolerance, `${i}: ${actual[i]}, expected ${expected[i]}`).toBe(true);
  }
}

const dataset = loadHousingDataset();
const parameters = {
  alpha: 1,
  numerical: featuresOfKind(housing, 'numerical'),
  categorical: featuresOfKind(housing, 'categorical'),
};

describe('the moments of parts add up to those of the whole:', () => {
  test.each([1, 2, 7, 506])('%d parts of the housing data', (count) => {
    const whole = momentsInParts(dataset, parameters, 1)[0]!;
    const total = addMoments(momentsInParts(dataset, parameters, count));
    expect(total.rows).toBe(506);
    expectClose(total.origin, whole.origin, 1e-13);
    total.products.forEach((product, at) => {
      const [j, k] = [Math.floor(at / whole.sums.length), at % whole.sums.length];
      const size = Math.sqrt(
        whole.products[j * (whole.sums.length + 1)]! * whole.products[k * (whole.sums.length + 1)]!,
      );
      expect(Math.abs(product - whole.products[at]!)).toBeLessThanOrEqual(1e-12 * size);
    });
  });

  test('an origin is a mean, so that an offset costs no digit', () => {
    const steps = Float64Array.from({ length: 12 }, (_, row) => row % 5);
    const [near, far] = [0, 2 ** 50].map((offset) => {
      const X = { rows: 12, columns: 1, data: steps.map((value) => value + offset) };
      return addMoments(momentsInParts({ X, y: steps }, { alpha: 1, numerical: [0], categorical: [] }, 4));
    });
    const centred = ({ rows, sums, products }: Moments) => products[0]! - (sums[0]! * sums[0]!) / rows;
    expect(centred(far!)).toBeCloseTo(centred(near!), 12);
  });
});

describe('a fit from moments is the fit to the samples:', () => {
  test.each([1, 2, 10, 506])('the housing data in %d parts', (count) => {
    const [actual, expected] = [fitInParts(dataset, parameters, count), fitPipeline(dataset, parameters)];
    const { transformer, ridge, nFeaturesIn } = actual;
    expect(nFeaturesIn).toBe(13);
    expect(transformer.encoder).toEqual(expected.transformer.encoder);
    expect(transformer.width).toBe(expected.transformer.width);
    expect(transformer.scaler.nSamplesSeen).toBe(506);
    for (const learned of ['mean', 'variance', 'scale'] as const) {
      expectClose(transformer.scaler[learned], expected.transformer.scaler[learned], 1e-12);
    }
    expectClose(ridge.coef, expected.ridge.coef, 1e-11);
    expectClose([ridge.intercept], [expected.ridge.intercept], 1e-11);
  });

  test('categories without samples are not learned', () => {
    const encoder = { categories: [Float64Array.of(1, 2, 3), Float64Array.of(4, 5)] };
    const X = matrix([
      [1, 0.5, 5],
      [3, 0.7, 5],
      [3, 0.1, 5],
    ]);
    const data = { X, y: Float64Array.of(1, 2, 4) };
    const roles = { alpha: 1, numerical: [1], categorical: [0, 2] };
    const moments = momentsOf(data, Uint32Array.of(0, 1, 2), roles, encoder);
    const { transformer, ridge } = fitPipelineFromMoments(moments, encoder, roles, 3);
    const expected = fitPipeline(data, roles);
    expect(transformer.encoder).toEqual(expected.transformer.encoder);
    expect(transformer.width).toBe(4);
    expectClose(ridge.coef, expected.ridge.coef, 1e-14);
  });
});

test('a wide fit is the fit to the samples, with values that are missing and categories that are not known', () => {
  const rows = Array.from({ length: 40 }, (_, i) => [
    i % 5 === 2 ? Number.NaN : 1e6 + Math.sin(i * 3),
    i % 7 === 3 ? Number.NaN : i % 4,
    i % 6,
    Math.cos(i),
  ]);
  const data = { X: matrix(rows), y: Float64Array.from(rows, (_, i) => Math.sin(i) + (i % 4)) };
  const how: PipelineParameters = {
    alpha: 0.3,
    numerical: [3, 0],
    categorical: [2, 1],
    imputed: [
      { column: 0, strategy: 'mean' },
      { column: 1, strategy: 'constant', fillValue: 99 },
    ],
    known: new Map([[2, new Set([0, 1, 2, 77])]]),
  };
  const [actual, expected] = [fitWidePipeline(data, how), fitPipeline(data, how)];
  expect(actual.imputer).toEqual(expected.imputer);
  expect(actual.transformer.encoder).toEqual(expected.transformer.encoder);
  expect(actual.transformer.encoder.categories).toEqual([Float64Array.of(0, 1, 2), Float64Array.of(0, 1, 2, 3, 99)]);
  expectClose(predictPipeline(actual, data.X), predictPipeline(expected, data.X), 1e-12);
  expect(transformedWidth(data.X, how)).toBe(expected.transformer.width);
});

test('with alpha 0 indicators are singular also when nearly all samples have one category', () => {
  const n = 10_000;
  const X = { rows: n, columns: 1, data: Float64Array.from({ length: n }, (_, row) => Number(row === 0)) };
  const y = Float64Array.from({ length: n }, (_, row) => row % 7);
  expect(() => fitInParts({ X, y }, { alpha: 0, numerical: [], categorical: [0] }, 3)).toThrow(
    expect.objectContaining({ code: 'singular_system' }),
  );
});

describe('against scikit-learn on sets that corner the arithmetic', () => {
  test.each(synthetic.sets)('$name', (set) => {
    const pipeline = fitInParts(
      { X: matrix(set.X), y: Float64Array.from(set.y) },
      {
        alpha: set.alpha,
        numerical: Array.from(set.numerical.keys()),
        categorical: set.categorical.map((_, k) => set.numerical.length + k),
      },
      3,
    );
    const tolerance = 1e-9 + (set.solver_spread ?? 0);
    expectClose(predictPipeline(pipeline, matrix(set.X)), set.predictions, tolerance);
    expectClose(predictPipeline(pipeline, matrix(set.new_rows)), set.new_predictions, tolerance);
  });
});
