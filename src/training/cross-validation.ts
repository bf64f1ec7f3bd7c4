/** Seeded k-fold cross-validation: every row is predicted once by a pipeline that has not seen it. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { Dataset } from '../estimators/dense-matrix.ts';
import { addMoments, momentsOf } from '../estimators/moments.ts';
import { fitOneHotEncoder } from '../estimators/one-hot-encoder.ts';
import { type PipelineParameters, predictRows } from '../estimators/pipeline.ts';
import { fitPipelineFromMoments } from '../estimators/pipeline-from-moments.ts';
import { type RegressionMetrics, regressionMetrics } from './regression-metrics.ts';

/**
 * Cuts 0..n-1 into k folds at random, as scikit-learn's `KFold(shuffle=True)` sizes them: the first n mod k folds hold
 * one row more. The same seed, a 32-bit number, gives the same folds on every machine.
 */
export function kFold(n: number, k: number, seed: number): Uint32Array[] {
  const order = Uint32Array.from({ length: n }, (_, row) => row);
  const random = xoroshiro128plus(seed);
  for (let last = n - 1; last > 0; last--) {
    const other = uniformInt(random, 0, last);
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  const folds: Uint32Array[] = [];
  for (let fold = 0, start = 0; fold < k; fold++) {
    const size = Math.floor(n / k) + (fold < n % k ? 1 : 0);
    folds.push(order.slice(start, start + size).sort());
    start += size;
  }
  return folds;
}

/**
 * Out-of-fold predictions, n elements, as of scikit-learn's `cross_val_predict`. Every row is in one fold, and each fold
 * lists its rows in ascending order. No fit reads its rows again: its moments are those of the other folds together.
 * `onFold` hears after each fold how many are done.
 */
export function crossValPredict(
  dataset: Dataset,
  parameters: PipelineParameters,
  folds: readonly Uint32Array[],
  onFold?: (done: number) => void,
): Float64Array {
  const { X } = dataset;
  const encoder = fitOneHotEncoder(X, parameters.categorical);
  const moments = folds.map((rows) => momentsOf(dataset, rows, parameters, encoder));
  const predicted = new Float64Array(X.rows);
  folds.forEach((heldOut, fold) => {
    const training = addMoments(moments.toSpliced(fold, 1));
    predictRows(fitPipelineFromMoments(training, encoder, parameters, X.columns), X, heldOut, predicted);
    onFold?.(fold + 1);
  });
  return predicted;
}

/** Measures over all out-of-fold predictions together; see `crossValPredict` for the arguments. */
export function crossValidate(...how: Parameters<typeof crossValPredict>): RegressionMetrics {
  const [{ y }] = how;
  return regressionMetrics(y, crossValPredict(...how));
}
