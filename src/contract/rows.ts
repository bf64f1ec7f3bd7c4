/**
 * Rows as a pipeline takes them: a float64 for each value, which is called its slot.
 *
 *     number   itself              bool   1 for true, 0 for false
 *     text     its place in the contract's texts or, after them, in those of the rows
 *     null     NaN, which JSON cannot write as a number
 */
import type { Contract } from './contract.ts';
import type { Feature } from './features-schema.ts';
import type { Value } from './values.ts';

/** One row by feature name, as it arrives in JSON. */
export type FeatureRow = Record<string, Value | undefined>;

export interface FeatureRows {
  /** Under which they were read. */
  contract: Contract;
  rows: number;
  /** Row-major slots in the declared order. */
  features: ArrayLike<number>;
  /** Texts beside the contract's: the first has the place after the last of those. Absent without any. */
  texts?: readonly string[];
}

/** Rows with the answer that the fit gave to each, as they are kept in JSON. */
export interface GoldenRows {
  /** Values in the declared order. */
  features: readonly (readonly Value[])[];
  predictions: readonly number[];
}

/** Rows that the contract's schema has accepted. */
export function toFeatureRows(contract: Contract, rows: readonly FeatureRow[]): FeatureRows {
  const { names } = contract;
  return fromValues(
    contract,
    rows.map((row) => names.map((name) => row[name] ?? null)),
  );
}

/** Rows of values in the declared order, each of the feature's type or null. */
export function fromValues(contract: Contract, rows: readonly (readonly Value[])[]): FeatureRows {
  const { places } = contract;
  const others = new Map<string, number>();
  const features = Float64Array.from(
    rows.flatMap((row) =>
      row.map((value) => {
        if (value === null) return Number.NaN;
        if (typeof value !== 'string') return Number(value);
        const place = places.get(value) ?? others.get(value) ?? places.size + others.size;
        if (place === places.size + others.size) others.set(value, place);
        return place;
      }),
    ),
  );
  return { contract, rows: rows.length, features, ...(others.size > 0 && { texts: [...others.keys()] }) };
}

/** Whether a slot is a text that the contract does not know. */
export function isUnknownText({ dtype }: Feature, slot: number, { texts }: Contract): boolean {
  return dtype === 'string' && slot >= texts.length;
}

/** The value that a slot stands for. */
export function valueOfSlot(
  { dtype }: Feature,
  slot: number,
  { contract, texts = [] }: Pick<FeatureRows, 'contract' | 'texts'>,
): Value {
  if (Number.isNaN(slot)) return null;
  if (dtype === 'bool') return slot === 1;
  if (dtype !== 'string') return slot;
  return contract.texts[slot] ?? texts[slot - contract.texts.length]!;
}

/** A row for people to try: the examples, or a value of the type. */
export function exampleRow({ features }: Contract): Record<string, Value> {
  return Object.fromEntries(features.map((feature) => [feature.name, exampleOf(feature)]));
}

function exampleOf({ dtype, example, categories, minimum, maximum, max_length }: Feature): Value {
  if (example !== undefined) return example;
  if (categories?.length) return categories[0]!;
  if (dtype === 'string') return 'text'.slice(0, max_length);
  if (dtype === 'bool') return true;
  const number = Math.min(Math.max(0, minimum ?? 0), maximum ?? Number.POSITIVE_INFINITY);
  if (dtype === 'float64') return number;
  return number > 0 ? Math.ceil(number) : Math.floor(number);
}
