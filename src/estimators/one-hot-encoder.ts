/** OneHotEncoder as in scikit-learn with `handle_unknown='ignore'`: an unknown category becomes all zeros. */
import type { DenseMatrix } from './dense-matrix.ts';

/** What was learned: `categories_` of scikit-learn, for each encoded column its distinct values in ascending order. */
export interface FittedOneHotEncoder {
  categories: Float64Array[];
}

/** By column, the categories that may be learned; any where a column has no entry. */
export type KnownCategories = ReadonlyMap<number, ReadonlySet<number>>;

export function fitOneHotEncoder(
  X: DenseMatrix,
  columns: readonly number[],
  known: KnownCategories = new Map(),
): FittedOneHotEncoder {
  return {
    categories: columns.map((column) => distinct(X, column).filter((value) => known.get(column)?.has(value) ?? true)),
  };
}

function distinct(X: DenseMatrix, column: number): Float64Array {
  const seen = new Set<number>();
  for (let at = column; at < X.data.length; at += X.columns) seen.add(X.data[at]!);
  return Float64Array.from(seen).sort();
}

/** For each encoded column the position of each category's indicator, when the first of all indicators is at `first`. */
export function indicatorPositions({ categories }: FittedOneHotEncoder, first: number): Map<number, number>[] {
  let next = first;
  return categories.map((values) => new Map(Array.from(values, (value) => [value, next++])));
}
