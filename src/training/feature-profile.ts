/** What the training data looked like, kept beside the version so that live data can be held against it. */
import type { Contract } from '../contract/contract.ts';
import type { Feature } from '../contract/features-schema.ts';
import { isUnknownText, valueOfSlot } from '../contract/rows.ts';
import type { DenseMatrix } from '../estimators/dense-matrix.ts';

/**
 * The profile of one feature: range, mean and deciles (0 to 100 % in steps of 10; none without any value), or how often
 * each category is seen, by name, and how often a text that the contract does not know. `missing` counts nulls.
 */
export type ColumnProfile = NumericalProfile | CategoricalProfile;

interface NumericalProfile {
  kind: 'numerical';
  min: number | null;
  max: number | null;
  mean: number | null;
  deciles: number[];
  missing: number;
}

interface CategoricalProfile {
  kind: 'categorical';
  counts: Record<string, number>;
  unknown: number;
  missing: number;
}

/** Profiles the n x p matrix of slots whose columns are in the declared order. */
export function featureProfile(X: DenseMatrix, contract: Contract): Record<string, ColumnProfile> {
  const slots = new Float64Array(X.rows);
  return Object.fromEntries(
    contract.features.map((feature, column) => {
      for (let row = 0; row < X.rows; row++) slots[row] = X.data[row * X.columns + column]!;
      const { name, kind } = feature;
      return [name, kind === 'numerical' ? numericalProfile(slots) : categoricalProfile(slots, feature, contract)];
    }),
  );
}

function numericalProfile(slots: Float64Array): NumericalProfile {
  const sorted = slots.filter((slot) => !Number.isNaN(slot)).sort();
  const last = sorted.length - 1;
  return {
    kind: 'numerical',
    min: sorted[0] ?? null,
    max: sorted[last] ?? null,
    mean: last < 0 ? null : sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
    deciles: last < 0 ? [] : Array.from({ length: 11 }, (_, i) => sorted[Math.round((i * last) / 10)]!),
    missing: slots.length - sorted.length,
  };
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
  return { kind: 'categorical', counts: Object.fromEntries(counts), unknown, missing };
}

function countsOf(slots: Float64Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const slot of slots) counts.set(slot, (counts.get(slot) ?? 0) + 1);
  return counts;
}
