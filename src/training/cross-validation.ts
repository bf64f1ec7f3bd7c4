/** Seeded k-fold cross-validation: every row is predicted once by a pipeline that has not seen it. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { Dataset, DenseMatrix } from '../estimators/dense-matrix.ts';
import { addMoments, type Moments, momentsOf } from '../estimators/moments.ts';
import { fitOneHotEncoder } from '../estimators/one-hot-encoder.ts';
import { type PipelineParameters, predictRows } from '../estimators/pipeline.ts';
import { fitPipelineFromMoments } from '../estimators/pipeline-from-moments.ts';
import { fitSimpleImputer, impute } from '../estimators/simple-imputer.ts';

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
 * lists its rows in ascending order. `onFold` hears after each fold how many are done.
 *
 * The moments of a training part are those of the other folds together, so that no row is read again. Only where a mean
 * stands in for missing values are the rows of each part imputed anew: the mean of all rows would know the held-out ones.
 */
export function crossValPredict(
  dataset: Dataset,
  parameters: PipelineParameters,
  folds: readonly Uint32Array[],
  onFold?: (done: number) => void,
): Float64Array {
  const { X, y } = dataset;
  const { imputed = [], categorical, known } = parameters;
  const means = imputed.filter(({ column, strategy }) => strategy === 'mean' && isMissingSomewhere(X, column));
  const filled = impute(fitSimpleImputer(X, imputed), X);
  const encoder = fitOneHotEncoder(filled, categorical, known);
  const momentsAt = (rows: Uint32Array) => momentsOf({ X: filled, y }, rows, parameters, encoder);

  function momentsByFold(): (fold: number) => Moments {
    const moments = folds.map(momentsAt);
    return (fold) => addMoments(moments.toSpliced(fold, 1));
  }
  function momentsImputed(fold: number): Moments {
    const rows = otherRows(X.rows, folds[fold]!);
    impute(fitSimpleImputer(X, means, rows), X, filled);
    return momentsAt(rows);
  }

  const trainingMoments = means.length > 0 ? momentsImputed : momentsByFold();
  const predicted = new Float64Array(X.rows);
  folds.forEach((heldOut, fold) => {
    const pipeline = fitPipelineFromMoments(trainingMoments(fold), encoder, parameters, X.columns);
    predictRows(pipeline, filled, heldOut, predicted);
    onFold?.(fold + 1);
  });
  return predicted;
}

function isMissingSomewhere(X: DenseMatrix, column: number): boolean {
  for (let at = column; at < X.data.length; at += X.columns) if (Number.isNaN(X.data[at])) return true;
  return false;
}

/** Those of n rows that are not held out, in ascending order as these are. */
function otherRows(n: number, heldOut: Uint32Array): Uint32Array {
  const rows = new Uint32Array(n - heldOut.length);
  for (let row = 0, next = 0, at = 0; row < n; row++) {
    if (row === heldOut[next]) next++;
    else rows[at++] = row;
  }
  return rows;
}
