/**
 * When two computations of the same predictions agree. The fit and ONNX Runtime add in different orders, so their results
 * differ by rounding; a larger difference is another answer.
 */

/** The largest difference that is rounding, relative to the size of the prediction or of the target as a whole. */
export const AGREEMENT_TOLERANCE = 1e-9;

/**
 * The size of a target: the mean of |prediction|. Predictions near 0 are measured against it, because the terms that
 * cancelled in them are of that size. A fixed size, such as 1, would check nothing of a target in millionths.
 */
export function sizeOf(predictions: ArrayLike<number>): number {
  let size = 0;
  // Divided before it is added up: the sum of large predictions would overflow.
  for (let i = 0; i < predictions.length; i++) size += Math.abs(predictions[i]!) / predictions.length;
  return size;
}

/** |actual - expected| relative to the larger of |expected| and `size`; 0 where both are the same, also both 0. */
export function disagreement(actual: number, expected: number, size: number): number {
  return actual === expected ? 0 : Math.abs(actual - expected) / Math.max(Math.abs(expected), size);
}

/** Whether a difference is rounding. NaN, which weights that are not numbers give, is not. */
export function agrees(actual: number, expected: number, size: number): boolean {
  return disagreement(actual, expected, size) <= AGREEMENT_TOLERANCE;
}
