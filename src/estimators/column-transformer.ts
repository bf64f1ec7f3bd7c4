/**
 * ColumnTransformer as in scikit-learn, for the one arrangement served here: the scaled numerical columns first, then
 * one block of indicators for each categorical column.
 */
import type { DenseMatrix } from './dense-matrix.ts';
import {
  type FittedOneHotEncoder,
  fitOneHotEncoder,
  indicatorPositions,
  type KnownCategories,
} from './one-hot-encoder.ts';
import { type FittedStandardScaler, fitStandardScaler } from './standard-scaler.ts';

/** Positions of the numerical and of the categorical columns in X. */
export interface ColumnRoles {
  numerical: readonly number[];
  categorical: readonly number[];
}

export interface ColumnTransformerParameters extends ColumnRoles {
  /** By default every category of the data. */
  known?: KnownCategories;
}

export interface FittedColumnTransformer extends ColumnRoles {
  scaler: FittedStandardScaler;
  encoder: FittedOneHotEncoder;
  /** The number of columns after the transform. */
  width: number;
}

/** Fits to an X in which nothing is missing. */
export function fitColumnTransformer(
  X: DenseMatrix,
  { numerical, categorical, known }: ColumnTransformerParameters,
): FittedColumnTransformer {
  const encoder = fitOneHotEncoder(X, categorical, known);
  return {
    numerical,
    categorical,
    scaler: fitStandardScaler(X, numerical),
    encoder,
    width: encoder.categories.reduce((width, categories) => width + categories.length, numerical.length),
  };
}

/**
 * A function that writes row `row` of the transformed X into `out` (`width` elements). Row by row, because a matrix of
 * all transformed rows would be the largest object of a training run and nobody needs it whole.
 */
export function rowTransformer(
  { numerical, categorical, scaler, encoder }: FittedColumnTransformer,
  X: DenseMatrix,
): (row: number, out: Float64Array) => void {
  const { mean, scale } = scaler;
  const positions = indicatorPositions(encoder, numerical.length);
  return (row, out) => {
    const from = row * X.columns;
    for (let k = 0; k < numerical.length; k++) out[k] = (X.data[from + numerical[k]!]! - mean[k]!) / scale[k]!;
    out.fill(0, numerical.length);
    for (let k = 0; k < categorical.length; k++) {
      const position = positions[k]!.get(X.data[from + categorical[k]!]!);
      if (position !== undefined) out[position] = 1;
    }
  };
}
