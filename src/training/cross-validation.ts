/** Seeded k-fold cross-validation: every row is predicted once by a pipeline that has not seen it. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { type Dataset, takeRows } from '../estimators/dense-matrix.ts';
import { fitPipeline, type PipelineParameters, predictPipeline } from '../estimators/pipeline.ts';
import { type RegressionMetrics, regressionMetrics } from './regression-metrics.ts';

/**
 * Cuts 0..n-1 into k folds at random, as scikit-learn's `KFold(shuffle=True)` sizes them: the first n mod k folds hold
 * one row more. The same seed, a 32-bit
 * number, gives the same folds on every machine.
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

/** Measures over all out-of-fold predictions together. Each fold lists its rows in ascending order. `onFold` hears after each fold how many are done. */
export function crossValidate(
  dataset: Dataset,
  parameters: PipelineParameters,
  folds: readonly Uint32Array[],
  onFold?: (done: number) => void,
): RegressionMetrics {
  const predicted = new Float64Array(dataset.X.rows);
  folds.forEach((heldOut, fold) => {
    const pipeline = fitPipeline(takeRows(dataset, complement(heldOut, dataset.X.rows)), parameters);
    const predictions = predictPipeline(pipeline, takeRows(dataset, heldOut).X);
    heldOut.forEach((row, at) => {
      predicted[row] = predictions[at]!;
    });
    onFold?.(fold + 1);
  });
  return regressionMetrics(dataset.y, predicted);
}

/** The rows of 0..n-1 that are not in `heldOut`, which is sorted. */
function complement(heldOut: Uint32Array, n: number): Uint32Array {
  const rest = new Uint32Array(n - heldOut.length);
  for (let row = 0, skipped = 0; row < n; row++) {
    if (heldOut[skipped] === row) skipped++;
    else rest[row - skipped] = row;
  }
  return rest;
}
