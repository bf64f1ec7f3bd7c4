/**
 * What the training data looked like, kept with a version so that what arrives later can be held against it: a profile for each
 * feature and one of the predictions, and the bins that follow from a profile.
 */

export type ReferenceProfile = NumericalProfile | CategoricalProfile;

export interface NumericalProfile {
  kind: 'numerical';
  /** Of the values that are there; all four null without any. */
  min: number | null;
  max: number | null;
  mean: number | null;
  /** Of the population: divided by n, as numpy's `std`. */
  sd: number | null;
  /** 0 to 100 % in steps of 10, each a value of the data; none without any. */
  deciles: number[];
  /** Where bins begin but for the first, ascending: `edgesOf`. */
  edges: number[];
  /** How many values each bin holds; of a constant column those that equal it, and 0 others. */
  counts: number[];
  /** Values that are there. */
  rows: number;
  /** Nulls. */
  missing: number;
}

export interface CategoricalProfile {
  kind: 'categorical';
  /** By the name of the category: `String` of its value. */
  counts: Record<string, number>;
  /** Texts that the contract does not know. */
  unknown: number;
  rows: number;
  missing: number;
}

/** The bins of a reference. A value on an edge is in the bin above it, as Postgres' width_bucket(value, edges) has it. */
export type Bins =
  | { kind: 'edges'; edges: readonly number[] }
  /** One bin for the value of a constant column, and one for all others. */
  | { kind: 'constant'; value: number }
  /** A bin each, and one for all others. */
  | { kind: 'categories'; categories: readonly string[] };

/** A profile as something to compare with. */
export interface Reference {
  bins: Bins;
  /** Of the training data, in the order of the bins. */
  counts: readonly number[];
  missing: number;
  /** Null of categories. */
  range: { min: number; max: number; mean: number; sd: number } | null;
}

/** Distinct inner deciles above the minimum or, where there is none, the smallest value above it; none of a constant column. */
export function edgesOf(sorted: Float64Array, deciles: readonly number[]): number[] {
  const [minimum] = sorted;
  const edges = [...new Set(deciles.slice(1, -1))].filter((edge) => edge > minimum!);
  if (edges.length > 0) return edges;
  const next = sorted.find((value) => value > minimum!);
  return next === undefined ? [] : [next];
}

/** How many of n sorted values each bin holds; of a constant column all n, and 0. */
export function countsIn(edges: readonly number[], sorted: Float64Array): number[] {
  if (edges.length === 0) return sorted.length === 0 ? [] : [sorted.length, 0];
  const starts = [0, ...edges.map((edge) => firstFrom(sorted, edge)), sorted.length];
  return starts.slice(1).map((start, bin) => start - starts[bin]!);
}

/** The place of the first value that is not below the edge. */
function firstFrom(sorted: Float64Array, edge: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < edge) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * What a stored profile says, which may be any JSON; undefined where it says too little to compare with, as those of versions
 * before bins were kept.
 */
export function referenceOf(profile: unknown): Reference | undefined {
  const { kind } = (profile ?? {}) as Partial<ReferenceProfile>;
  if (kind === 'numerical') return numericalReference(profile as Partial<NumericalProfile>);
  if (kind === 'categorical') return categoricalReference(profile as Partial<CategoricalProfile>);
  return undefined;
}

function numericalReference(profile: Partial<NumericalProfile>): Reference | undefined {
  const { min, max, mean, sd, edges, counts, missing = 0 } = profile;
  if (!areNumbers([min, max, mean, sd]) || !areNumbers(edges) || !areCounts(counts)) return undefined;
  const bins: Bins = edges.length === 0 ? { kind: 'constant', value: min! } : { kind: 'edges', edges };
  const isAscending = edges.every((edge, i) => i === 0 || edges[i - 1]! < edge);
  if (!isAscending || counts.length !== Math.max(2, edges.length + 1) || !areCounts([missing])) return undefined;
  return { bins, counts, missing, range: { min: min!, max: max!, mean: mean!, sd: sd! } };
}

function categoricalReference({ counts, unknown = 0, rows, missing = 0 }: Partial<CategoricalProfile>) {
  // Profiles without `rows` are of servers that kept no bins of numbers: the reference of a version is whole or not there.
  if (typeof counts !== 'object' || counts === null || !areCounts([rows, unknown, missing])) return undefined;
  const known = Object.entries(counts);
  if (!areCounts(known.map(([, count]) => count))) return undefined;
  const isNumber = known.every(([name]) => Number.isFinite(Number(name)));
  known.sort(([a], [b]) => (isNumber ? Number(a) - Number(b) : a < b ? -1 : 1));
  return {
    bins: { kind: 'categories' as const, categories: known.map(([name]) => name) },
    counts: [...known.map(([, count]) => count), unknown],
    missing,
    range: null,
  };
}

const areNumbers = (values: unknown): values is number[] => Array.isArray(values) && values.every(Number.isFinite);
const areCounts = (values: unknown): values is number[] =>
  Array.isArray(values) && values.every((value) => Number.isSafeInteger(value) && value >= 0);
