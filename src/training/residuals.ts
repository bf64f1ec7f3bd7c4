/** Out-of-fold residuals as they are kept with a version, for prediction intervals: inference/half-widths.ts reads them. */

const MOST_KEPT = 10_000;
/** Of more than that: enough for a level in steps of 0.01. */
const RANKS = 1_000;

/** Their sizes in ascending order: all of up to 10,000, else those of 1,000 evenly spaced ranks, rounded up. */
export function residualsToKeep(residuals: Float64Array): number[] {
  const sizes = residuals.map(Math.abs).sort();
  const n = sizes.length;
  if (n <= MOST_KEPT) return Array.from(sizes);
  return Array.from({ length: RANKS }, (_, i) => sizes[Math.ceil(((i + 1) * n) / RANKS) - 1]!);
}
