/** Measures of a regression, as defined by scikit-learn's `sklearn.metrics`. */
export interface RegressionMetrics {
  /** Root of the mean squared error, in the target's unit. */
  rmse: number;
  /** Mean absolute error, in the target's unit. */
  mae: number;
  /** 1 - residual sum of squares / total sum of squares; 0 is as good as always answering the mean. */
  r2: number;
}

/** Compares n predictions with n true values, n at least 1. A constant target has r2 1 when met exactly, else 0. */
export function regressionMetrics(actual: Float64Array, predicted: Float64Array): RegressionMetrics {
  const n = actual.length;
  const mean = actual.reduce((sum, value) => sum + value, 0) / n;
  let absolute = 0;
  let residual = 0;
  let total = 0;
  for (let i = 0; i < n; i++) {
    const error = actual[i]! - predicted[i]!;
    absolute += Math.abs(error);
    residual += error * error;
    total += (actual[i]! - mean) ** 2;
  }
  const r2 = total > 0 ? 1 - residual / total : Number(residual === 0);
  return { rmse: Math.sqrt(residual / n), mae: absolute / n, r2 };
}
