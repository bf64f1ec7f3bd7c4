/**
 * The whole of what is served, as scikit-learn's `make_pipeline(ColumnTransformer(...), Ridge(alpha))` whose columns are
 * imputed, then scaled or encoded.
 */
import {
  type ColumnTransformerParameters,
  type FittedColumnTransformer,
  fitColumnTransformer,
  rowTransformer,
} from './column-transformer.ts';
import type { Dataset, DenseMatrix } from './dense-matrix.ts';
import { fitOneHotEncoder } from './one-hot-encoder.ts';
import { type FittedRidge, fitRidge, predictRidge } from './ridge.ts';
import { type FittedSimpleImputer, fitSimpleImputer, type ImputedColumn, impute } from './simple-imputer.ts';

export interface FittedPipeline {
  nFeaturesIn: number;
  imputer: FittedSimpleImputer;
  transformer: FittedColumnTransformer;
  ridge: FittedRidge;
}

export interface PipelineParameters extends ColumnTransformerParameters {
  alpha: number;
  /** The columns in which values may be missing. */
  imputed?: readonly ImputedColumn[];
}

export function fitPipeline(
  { X, y }: Dataset,
  { alpha, imputed = [], ...parameters }: PipelineParameters,
): FittedPipeline {
  const imputer = fitSimpleImputer(X, imputed);
  const filled = impute(imputer, X);
  const transformer = fitColumnTransformer(filled, parameters);
  const design = { rows: X.rows, columns: transformer.width, readRow: rowTransformer(transformer, filled) };
  return { nFeaturesIn: X.columns, imputer, transformer, ridge: fitRidge(design, y, { alpha }) };
}

/** The number of columns after the transform, known before anything is fitted to them. */
export function transformedWidth(X: DenseMatrix, parameters: PipelineParameters): number {
  const { imputed = [], numerical, categorical, known } = parameters;
  const { categories } = fitOneHotEncoder(impute(fitSimpleImputer(X, imputed), X), categorical, known);
  return categories.reduce((width, { length }) => width + length, numerical.length);
}

/** Predictions for the n rows of X, n elements. */
export function predictPipeline(pipeline: FittedPipeline, X: DenseMatrix): Float64Array {
  const predictions = new Float64Array(X.rows);
  predictRows(pipeline, X, predictions.keys(), predictions);
  return predictions;
}

/** Writes the predictions for some rows of X into `predictions`, each at the position of its row. */
export function predictRows(
  { imputer, transformer, ridge }: FittedPipeline,
  X: DenseMatrix,
  rows: Iterable<number>,
  predictions: Float64Array,
): void {
  const readRow = rowTransformer(transformer, impute(imputer, X));
  const transformed = new Float64Array(transformer.width);
  for (const row of rows) {
    readRow(row, transformed);
    predictions[row] = predictRidge(ridge, transformed);
  }
}
