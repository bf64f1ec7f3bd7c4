/**
 * First and second moments of samples, from which a pipeline can be fitted without seeing the samples again. Those of
 * several sets of samples add up to those of their union (Chan, Golub and LeVeque 1983).
 */
import type { ColumnRoles } from './column-transformer.ts';
import type { Dataset } from './dense-matrix.ts';
import { type FittedOneHotEncoder, indicatorPositions } from './one-hot-encoder.ts';

/**
 * Of n samples of w variables: the numerical columns, the target, and an indicator for each category, in this order.
 * Each is measured from an origin near its mean, so that an offset much larger than the spread does not cancel.
 */
export interface Moments {
  rows: number;
  /** w elements; 0 for the indicators. */
  origin: Float64Array;
  /** Sums of (x - origin), w elements. */
  sums: Float64Array;
  /** Sums of (x - origin) (x - origin)', the lower triangle of w x w in row-major order. */
  products: Float64Array;
}

function zeroMoments(origin: Float64Array): Moments {
  const w = origin.length;
  return { rows: 0, origin, sums: new Float64Array(w), products: new Float64Array(w * w) };
}

/** The moments of the samples in `rows`, of which there is at least one. */
export function momentsOf(
  { X, y }: Dataset,
  rows: Uint32Array,
  { numerical, categorical }: ColumnRoles,
  encoder: FittedOneHotEncoder,
): Moments {
  const measured = numerical.length + 1;
  const positions = indicatorPositions(encoder, measured);
  const width = encoder.categories.reduce((sum, { length }) => sum + length, measured);
  const origin = new Float64Array(width);
  origin.set(meansOf({ X, y }, rows, numerical));
  const moments = { ...zeroMoments(origin), rows: rows.length };
  const { sums, products } = moments;
  const values = new Float64Array(measured);
  const present = new Uint32Array(categorical.length);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    const from = row * X.columns;
    for (let j = 0; j < numerical.length; j++) values[j] = X.data[from + numerical[j]!]! - origin[j]!;
    values[numerical.length] = y[row]! - origin[numerical.length]!;
    for (let j = 0; j < measured; j++) {
      const value = values[j]!;
      sums[j]! += value;
      for (let k = 0; k <= j; k++) products[j * width + k]! += value * values[k]!;
    }
    // An indicator is 1 for one category of a column, or for none that is unknown; those that are 0 add nothing.
    let found = 0;
    for (let c = 0; c < categorical.length; c++) {
      const j = positions[c]!.get(X.data[from + categorical[c]!]!);
      if (j === undefined) continue;
      present[found++] = j;
      sums[j]! += 1;
      for (let k = 0; k < measured; k++) products[j * width + k]! += values[k]!;
      for (let other = 0; other < found; other++) products[j * width + present[other]!]! += 1;
    }
  }
  return moments;
}

/** Means of the numerical columns and of the target. Measured from the first row, so that sums stay near the spread. */
function meansOf({ X, y }: Dataset, rows: Uint32Array, numerical: readonly number[]): Float64Array {
  const first = rows[0]!;
  const start = Float64Array.of(...numerical.map((column) => X.data[first * X.columns + column]!), y[first]!);
  const sums = new Float64Array(start.length);
  const target = numerical.length;
  for (let i = 0; i < rows.length; i++) {
    const from = rows[i]! * X.columns;
    for (let j = 0; j < target; j++) sums[j]! += X.data[from + numerical[j]!]! - start[j]!;
    sums[target]! += y[rows[i]!]! - start[target]!;
  }
  return start.map((value, j) => value + sums[j]! / rows.length);
}

/** The moments of the union of disjoint sets of samples, of which there is at least one. */
export function addMoments(parts: readonly Moments[]): Moments {
  const total = zeroMoments(meanOrigin(parts));
  const { sums, products } = total;
  const w = sums.length;
  for (const part of parts) {
    const shift = part.origin.map((value, j) => value - total.origin[j]!);
    total.rows += part.rows;
    for (let j = 0; j < w; j++) {
      const sum = part.sums[j]! + part.rows * shift[j]!;
      sums[j]! += sum;
      // Sums of (d + s) (d + s)', d measured from the part's origin and s the shift of that origin.
      for (let k = 0; k <= j; k++) {
        products[j * w + k]! += part.products[j * w + k]! + shift[j]! * part.sums[k]! + sum * shift[k]!;
      }
    }
  }
  return total;
}

/** The mean of the parts' origins, each with the weight of its samples. */
function meanOrigin(parts: readonly Moments[]): Float64Array {
  const start = parts[0]!.origin;
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  return start.map((value, j) => {
    return value + parts.reduce((sum, part) => sum + part.rows * (part.origin[j]! - value), 0) / rows;
  });
}
