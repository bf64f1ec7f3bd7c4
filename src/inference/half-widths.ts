/**
 * Half-widths of prediction intervals, by split conformal prediction: of n errors that the pipeline has made on rows it had not
 * seen, an interval of a level is as wide as the k-th smallest, k = ceil((n + 1) level). A new row that is like the others lies
 * in it with that probability: https://arxiv.org/abs/1905.02928.
 */
import { RidgelineError } from '../errors.ts';

/** 0.50 to 0.99 in steps of 0.01; a half-width for each of them is kept in this order. */
export const levels: readonly number[] = Array.from({ length: 50 }, (_, i) => (50 + i) / 100);

/** By level, in the target's unit; Infinity where there are too few errors for one. */
export type HalfWidths = Float64Array;

/** The most errors that are kept with a version, and so the most that are read. */
const MOST_RESIDUALS = 10_000;

/** The place of a level in `levels`; undefined of any other number. */
export function placeOfLevel(level: number): number | undefined {
  const place = levels.indexOf(level);
  return place === -1 ? undefined : place;
}

/** From the sizes of errors in ascending order. */
export function halfWidthsOf(sizes: ArrayLike<number>): HalfWidths {
  return Float64Array.from(levels, (level) => sizes[rankOf(sizes.length, level) - 1] ?? Number.POSITIVE_INFINITY);
}

/** k, from 1; above n where n errors are too few. Not rounded up where only the last digit of the product is above. */
export function rankOf(n: number, level: number): number {
  return Math.ceil((n + 1) * level - 1e-9);
}

/** Of what is stored with a version, which may be anything; null where it has none. Throws `bad_artefact`. */
export function halfWidthsOfStored(residuals: unknown): HalfWidths | null {
  if (residuals === null || residuals === undefined) return null;
  const isWhole =
    Array.isArray(residuals) &&
    residuals.length <= MOST_RESIDUALS &&
    residuals.every((size, i) => Number.isFinite(size) && size >= (i === 0 ? 0 : residuals[i - 1]));
  if (isWhole) return halfWidthsOf(residuals);
  const detail = `The residuals must be at most ${MOST_RESIDUALS} finite numbers in ascending order, none of them below 0.`;
  throw new RidgelineError('bad_artefact', { detail });
}
