/** The whole of what is served, as scikit-learn's `make_pipeline(ColumnTransformer(...), Ridge(alpha))`. */
import {
  type ColumnRoles,
  type FittedColumnTransformer,
  fitColumnTransformer,
  rowTransformer,
} from './column-transformer.ts';
import type { Dataset, DenseMatrix } from './dense-matrix.ts';
import { type FittedRidge, fitRidge, predictRidge } from './ridge.ts';

export interface FittedPipeline {
  nFeaturesIn: number;
  transformer: FittedColumnTransformer;
  ridge: FittedRidge;
}

export interface PipelineParameters extends ColumnRoles {
  alpha: number;
}

export function fitPipeline({ X, y }: Dataset, { alpha, ...roles }: PipelineParameters): FittedPipeline {
  const transformer = fitColumnTransformer(X, roles);
  const design = { rows: X.rows, columns: transformer.width, readRow: rowTransformer(transformer, X) };
  return { nFeaturesIn: X.columns, transformer, ridge: fitRidge(design, y, { alpha }) };
}

/** Predictions for the n rows of X, n elements. */
export function predictPipeline(pipeline: FittedPipeline, X: DenseMatrix): Float64Array {
  const predictions = new Float64Array(X.rows);
  predictRows(pipeline, X, predictions.keys(), predictions);
  return predictions;
}

/** Writes the predictions for some rows of X into `predictions`, each at the position of its row. */
export function predictRows(
  { transformer, ridge }: FittedPipeline,
  X: DenseMatrix,
  rows: Iterable<number>,
  predictions: Float64Array,
): void {
  const readRow = rowTransformer(transformer, X);
  const transformed = new Float64Array(transformer.width);
  for (const row of rows) {
    readRow(row, transformed);
    predictions[row] = predictRidge(ridge, transformed);
  }
}
