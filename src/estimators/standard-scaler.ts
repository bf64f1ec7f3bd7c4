/** StandardScaler as in scikit-learn: z = (x - mean) / scale, with the population variance (ddof 0). */
import type { DenseMatrix } from './dense-matrix.ts';

/** What was learned: `mean_`, `var_` and `scale_` of scikit-learn, one element for each scaled column. */
export interface FittedStandardScaler {
  mean: Float64Array;
  variance: Float64Array;
  scale: Float64Array;
  nSamplesSeen: number;
}

/** Fits on the given columns of X (n x p, n at least 1). Two passes, so that large offsets do not cancel the variance. */
export function fitStandardScaler(X: DenseMatrix, columns: readonly number[]): FittedStandardScaler {
  const n = X.rows;
  const mean = Float64Array.from(columns, (column) => sumOf(X, column, 0) / n);
  const variance = Float64Array.from(columns, (column, k) => varianceOf(X, column, mean[k]!));
  const scale = variance.map((value, k) => scaleOf(value, mean[k]!, n));
  return { mean, variance, scale, nSamplesSeen: n };
}

function sumOf(X: DenseMatrix, column: number, offset: number): number {
  let sum = 0;
  for (let at = column; at < X.data.length; at += X.columns) sum += X.data[at]! - offset;
  return sum;
}

/** Sum of squared deviations over n, less the squared rounding error of the mean (Chan, Golub and LeVeque 1983). */
function varianceOf(X: DenseMatrix, column: number, mean: number): number {
  let squares = 0;
  for (let at = column; at < X.data.length; at += X.columns) {
    const deviation = X.data[at]! - mean;
    squares += deviation * deviation;
  }
  const correction = sumOf(X, column, mean);
  return (squares - (correction * correction) / X.rows) / X.rows;
}

/**
 * What a column of n samples is divided by: its standard deviation, or 1 when the variance is no more than the rounding
 * error of computing it and the quotient would be noise. The bound is that of scikit-learn's `_is_constant_feature`,
 * n eps var + (n mean eps)^2.
 */
export function scaleOf(variance: number, mean: number, n: number): number {
  const isConstant = variance <= n * Number.EPSILON * variance + (n * mean * Number.EPSILON) ** 2;
  return isConstant ? 1 : Math.sqrt(variance);
}
