/** What the training data looked like, kept beside the version so that live data can be held against it. */
import type { Contract } from '../contract/contract.ts';
import type { DenseMatrix } from '../estimators/dense-matrix.ts';

/** The profile of one feature: range, mean and deciles (0 to 100 % in steps of 10), or how often each category is seen. */
export type ColumnProfile =
  | { kind: 'numerical'; min: number; max: number; mean: number; deciles: number[] }
  | { kind: 'categorical'; counts: Record<string, number> };

/** Profiles the n x p matrix whose columns are in the declared order. */
export function featureProfile(X: DenseMatrix, { features }: Contract): Record<string, ColumnProfile> {
  const values = new Float64Array(X.rows);
  return Object.fromEntries(
    features.map(({ name, kind }, column) => {
      for (let row = 0; row < X.rows; row++) values[row] = X.data[row * X.columns + column]!;
      return [name, kind === 'numerical' ? numericalProfile(values) : categoricalProfile(values)];
    }),
  );
}

/** Sorts the values on the way. */
function numericalProfile(values: Float64Array): ColumnProfile {
  let sum = 0;
  for (const value of values) sum += value;
  const sorted = values.sort();
  const last = sorted.length - 1;
  return {
    kind: 'numerical',
    min: sorted[0]!,
    max: sorted[last]!,
    mean: sum / sorted.length,
    deciles: Array.from({ length: 11 }, (_, i) => sorted[Math.round((i * last) / 10)]!),
  };
}

function categoricalProfile(values: Float64Array): ColumnProfile {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return { kind: 'categorical', counts };
}
