/** Profiles of the training data and of its predictions: contract/reference-profile.ts says what is in them. */
import type { Contract } from '../contract/contract.ts';
import type { Feature } from '../contract/features-schema.ts';
import {
  type CategoricalProfile,
  countsIn,
  edgesOf,
  type NumericalProfile,
  type ReferenceProfile,
} from '../contract/reference-profile.ts';
import { isUnknownText, valueOfSlot } from '../contract/rows.ts';
import type { DenseMatrix } from '../estimators/dense-matrix.ts';

/** Profiles the n x p matrix of slots whose columns are in the declared order. */
export function featureProfile(X: DenseMatrix, contract: Contract): Record<string, ReferenceProfile> {
  const slots = new Float64Array(X.rows);
  return Object.fromEntries(
    contract.features.map((feature, column) => {
      for (let row = 0; row < X.rows; row++) slots[row] = X.data[row * X.columns + column]!;
      const { name, kind } = feature;
      return [name, kind === 'numerical' ? numericalProfile(slots) : categoricalProfile(slots, feature, contract)];
    }),
  );
}

/** Of values of which some may be NaN, which stands for null. They are left in their order. */
export function numericalProfile(slots: Float64Array): NumericalProfile {
  // NaN sorts to the end.
  const all = slots.slice().sort();
  let rows = all.length;
  while (rows > 0 && Number.isNaN(all[rows - 1]!)) rows--;
  const sorted = all.subarray(0, rows);
  const last = rows - 1;
  const deciles = last < 0 ? [] : Array.from({ length: 11 }, (_, i) => sorted[Math.round((i * last) / 10)]!);
  const edges = edgesOf(sorted, deciles);
  return {
    kind: 'numerical',
    min: sorted[0] ?? null,
    max: sorted[last] ?? null,
    ...meanAndSd(sorted),
    deciles,
    edges,
    counts: countsIn(edges, sorted),
    rows,
    missing: all.length - rows,
  };
}

function meanAndSd(values: Float64Array): { mean: number | null; sd: number | null } {
  const n = values.length;
  if (n === 0) return { mean: null, sd: null };
  let sum = 0;
  for (let i = 0; i < n; i++) sum += values[i]!;
  const mean = sum / n;
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (values[i]! - mean) ** 2;
  return { mean, sd: Math.sqrt(squares / n) };
}

function categoricalProfile(slots: Float64Array, feature: Feature, contract: Contract): CategoricalProfile {
  const counts: [name: string, count: number][] = [];
  let missing = 0;
  let unknown = 0;
  for (const [slot, count] of countsOf(slots)) {
    if (Number.isNaN(slot)) missing = count;
    else if (isUnknownText(feature, slot, contract)) unknown += count;
    else counts.push([String(valueOfSlot(feature, slot, { contract })), count]);
  }
  return {
    kind: 'categorical',
    counts: Object.fromEntries(counts),
    unknown,
    rows: slots.length - missing,
    missing,
  };
}

/** How often each slot is there; NaN is one of them. */
export function countsOf(slots: Iterable<number>): Map<number, number> {
  const counts = new Map<number, number>();
  for (const slot of slots) counts.set(slot, (counts.get(slot) ?? 0) + 1);
  return counts;
}
