import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { featuresOfKind } from '../../src/contract/contract.ts';
import { RidgelineError } from '../../src/errors.ts';
import type { Dataset } from '../../src/estimators/dense-matrix.ts';
import { fitPipeline, type PipelineParameters, predictPipeline } from '../../src/estimators/pipeline.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { crossValPredict, kFold } from '../../src/training/cross-validation.ts';
import { takeRows } from './take-rows.ts';

/** What cross-validation is by definition: a pipeline is fitted on the rows outside a fold and predicts those inside. */
function crossValPredictByDefinition(
  { X, y }: Dataset,
  parameters: PipelineParameters,
  folds: readonly Uint32Array[],
): Float64Array {
  const predicted = new Float64Array(X.rows);
  for (const heldOut of folds) {
    const rest = Array.from(y.keys()).filter((row) => !heldOut.includes(row));
    const pipeline = fitPipeline(takeRows({ X, y }, rest), parameters);
    const predictions = predictPipeline(pipeline, takeRows({ X, y }, heldOut).X);
    heldOut.forEach((row, at) => {
      predicted[row] = predictions[at]!;
    });
  }
  return predicted;
}

/** Either gives the same answers within 1e-10 of the largest of targets and answers, or both refuse for one reason. */
function expectDefinition(data: Dataset, how: PipelineParameters, cut: readonly Uint32Array[]): void {
  const [actual, wanted] = [crossValPredict, crossValPredictByDefinition].map((run) => {
    try {
      return run(data, how, cut);
    } catch (error) {
      if (error instanceof RidgelineError) return error.message;
      throw error;
    }
  });
  if (typeof actual === 'string' || typeof wanted === 'string') {
    expect(actual).toBe(wanted);
    return;
  }
  const largest = Math.max(...data.y.map(Math.abs), ...wanted!.map(Math.abs));
  actual!.forEach((value, row) => {
    // Written so that NaN fails.
    expect(Math.abs(value - wanted![row]!) <= 1e-10 * largest, `row ${row}: ${value}, ${wanted![row]}`).toBe(true);
  });
}

describe('moments that are added up give what fits to the rows themselves give:', () => {
  test.each([0.001, 1, 1000])('on the housing data with alpha %d', (alpha) => {
    const roles = {
      numerical: featuresOfKind(housing, 'numerical'),
      categorical: featuresOfKind(housing, 'categorical'),
    };
    for (const k of [2, 3, 10, 506]) expectDefinition(loadHousingDataset(), { ...roles, alpha }, kFold(506, k, k));
  });

  const integers = fc.array(fc.integer({ min: -100, max: 100 }), { minLength: 40, maxLength: 40 });
  const fold = fc.nat({ max: 9 });
  /** Makes a column from the fold of each row. */
  type Column = (foldOf: number[]) => number[];
  const steps = integers.map(
    (values): Column =>
      (foldOf) =>
        foldOf.map((_, row) => values[row]!),
  );
  const constant = fc.constantFrom(0, 0.1, -1e15).map(
    (value): Column =>
      (foldOf) =>
        foldOf.map(() => value),
  );
  const constantButInOneFold = fc
    .tuple(integers, fold, fc.constantFrom(0, 0.1, 7e5))
    .map(([values, held, value]): Column => {
      return (foldOf) => foldOf.map((at, row) => value + (at === held ? values[row]! : 0));
    });
  const anyUnit = fc.tuple(integers, fc.constantFrom(1e-100, 1e-9, 1e9, 1e100), fc.constantFrom(0, -50, 1e4, 1e8)).map(
    ([values, unit, offset]): Column =>
      (foldOf) =>
        foldOf.map((_, row) => (offset + values[row]!) * unit),
  );
  const withOutlier = fc
    .tuple(integers, fc.nat({ max: 39 }), fc.constantFrom(1e6, -1e12))
    .map(([values, outlier, value]): Column => {
      return (foldOf) => foldOf.map((_, row) => (row === outlier ? value : values[row]!));
    });
  /** Missing at random, in all rows but one fold's, or everywhere. */
  const withMissing = fc
    .tuple(integers, fc.constantFrom<'some' | 'but in one fold' | 'all'>('some', 'but in one fold', 'all'), fold)
    .map(([values, where, held]): Column => {
      const isMissing = (at: number, row: number) =>
        where === 'all' || (where === 'some' ? (values[row]! * 7) % 3 === 0 : at !== held);
      return (foldOf) => foldOf.map((at, row) => (isMissing(at, row) ? Number.NaN : 1e6 + values[row]!));
    });
  const categorical = fc.oneof(
    integers.map(
      (values): Column =>
        (foldOf) =>
          foldOf.map((_, row) => values[row]! % 3),
    ),
    fold.map(
      (held): Column =>
        (foldOf) =>
          foldOf.map((at, row) => (at === held ? 99 : row % 2)),
    ),
    fc.constant<Column>((foldOf) => foldOf.map((_, row) => row)),
  );

  /** Data of the given columns with their roles, cut into folds. */
  function samples(numerical: fc.Arbitrary<Column[]>, categorical: fc.Arbitrary<Column[]>) {
    return fc
      .record({
        n: fc.integer({ min: 2, max: 40 }),
        k: fc.integer({ min: 2, max: 10 }),
        seed: fc.integer(),
        numerical,
        categorical,
        targets: integers,
        unit: fc.constantFrom(1e-100, 1, 1e100),
      })
      .filter(({ n, k }) => k <= n)
      .map(({ n, k, seed, numerical, categorical, targets, unit }) => {
        const folds = kFold(n, k, seed);
        const foldOf = Array.from({ length: n }, (_, row) => folds.findIndex((rows) => rows.includes(row)));
        const columns = [...numerical, ...categorical].map((make) => make(foldOf));
        const values = foldOf.flatMap((_, row) => columns.map((column) => column[row]!));
        return {
          data: {
            X: { rows: n, columns: columns.length, data: Float64Array.from(values) },
            y: Float64Array.from(foldOf, (_, row) => targets[row]! * unit),
          },
          roles: {
            numerical: Array.from(numerical.keys()),
            categorical: Array.from(categorical.keys(), (c) => numerical.length + c),
          },
          folds,
        };
      });
  }
  const anyNumerical = fc.array(fc.oneof(steps, anyUnit, constant, constantButInOneFold, withOutlier), {
    maxLength: 4,
  });

  test('on any data: constants, also of one training part only, outliers, categories of one fold, any units', () => {
    const any = samples(anyNumerical, fc.array(categorical, { maxLength: 2 }));
    fc.assert(
      fc.property(any, fc.constantFrom(0.1, 1, 100), ({ data, roles, folds }, alpha) => {
        expectDefinition(data, { ...roles, alpha }, folds);
      }),
      { numRuns: 200 },
    );
  });

  test('on data with missing values, each part imputed by what is in it', () => {
    const any = samples(
      fc.array(fc.oneof(withMissing, steps), { minLength: 1, maxLength: 4 }),
      fc.array(categorical, { maxLength: 2 }),
    );
    fc.assert(
      fc.property(any, fc.constantFrom(0.1, 1, 100), ({ data, roles, folds }, alpha) => {
        const imputed = roles.numerical.map((column) => ({ column, strategy: 'mean' }) as const);
        expectDefinition(
          data,
          { ...roles, alpha, imputed, known: new Map([[roles.numerical.length, new Set([0, 1])]]) },
          folds,
        );
      }),
      { numRuns: 200 },
    );
  });

  test('with alpha 0 too, where a training part that is singular is refused', () => {
    const columns = fc.array(fc.oneof(steps, constant, constantButInOneFold), { maxLength: 3 });
    fc.assert(
      fc.property(samples(columns, fc.constant([])), ({ data, roles, folds }) => {
        expectDefinition(data, { ...roles, alpha: 0 }, folds);
      }),
      { numRuns: 200 },
    );
  });

  test('with alpha 0 indicators, which always sum to 1, are refused', () => {
    const any = samples(anyNumerical, fc.array(categorical, { minLength: 1, maxLength: 2 }));
    fc.assert(
      fc.property(any, ({ data, roles, folds }) => {
        expect(() => crossValPredict(data, { ...roles, alpha: 0 }, folds)).toThrow(
          expect.objectContaining({ code: 'singular_system' }),
        );
      }),
      { numRuns: 200 },
    );
  });
});
