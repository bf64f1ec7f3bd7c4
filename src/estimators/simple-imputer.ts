/** SimpleImputer as in scikit-learn: a missing value, which is NaN, is replaced by the mean of its column or by a constant. */
import type { DenseMatrix } from './dense-matrix.ts';

/** A column in which values may be missing, with `strategy` and `fill_value` of scikit-learn. */
export type ImputedColumn =
  | { column: number; strategy: 'mean' }
  | { column: number; strategy: 'constant'; fillValue: number };

/** What was learned: `statistics_` of scikit-learn, one element for each imputed column. */
export interface FittedSimpleImputer {
  columns: readonly number[];
  statistics: Float64Array;
}

export const noImputer: FittedSimpleImputer = { columns: [], statistics: new Float64Array(0) };

/**
 * Fits on the given rows of X, or on all. The mean of a column without any value in them is 0, as of scikit-learn with
 * `keep_empty_features=True`: the column is constant then, and whatever it holds elsewhere has no weight.
 */
export function fitSimpleImputer(
  X: DenseMatrix,
  imputed: readonly ImputedColumn[],
  rows?: Uint32Array,
): FittedSimpleImputer {
  return {
    columns: imputed.map(({ column }) => column),
    statistics: Float64Array.from(imputed, (one) =>
      one.strategy === 'constant' ? one.fillValue : meanOf(X, one.column, rows),
    ),
  };
}

/** Measured from the first value, so that an offset much larger than the spread costs no digits. */
function meanOf({ rows: n, columns, data }: DenseMatrix, column: number, rows?: Uint32Array): number {
  let start = Number.NaN;
  let sum = 0;
  let count = 0;
  for (let i = 0; i < (rows?.length ?? n); i++) {
    const value = data[(rows?.[i] ?? i) * columns + column]!;
    if (Number.isNaN(value)) continue;
    if (count === 0) start = value;
    sum += value - start;
    count++;
  }
  return count === 0 ? 0 : start + sum / count;
}

/**
 * Writes what replaces the missing values of X into a matrix that has the others, and returns that; by default a copy, or X
 * itself where no column is imputed.
 */
export function impute(
  { columns, statistics }: FittedSimpleImputer,
  X: DenseMatrix,
  into: DenseMatrix = columns.length === 0 ? X : { ...X, data: X.data.slice() },
): DenseMatrix {
  columns.forEach((column, k) => {
    for (let at = column; at < X.data.length; at += X.columns) {
      if (Number.isNaN(X.data[at])) into.data[at] = statistics[k]!;
    }
  });
  return into;
}
