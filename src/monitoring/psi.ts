/** The population stability index: how far the shares of bins are from those of a reference. */

/** Shares of bins whose counts are each half of one larger, so that an empty bin is finite and decides nothing. */
function shares(counts: readonly number[]): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (count + 0.5) / (total + counts.length / 2));
}

/** Sum over the bins of (q - p) ln(q / p), with p the shares of the reference and q the others. 0 when they are the same. */
export function populationStabilityIndex(reference: readonly number[], current: readonly number[]): number {
  const p = shares(reference);
  return shares(current).reduce((sum, q, bin) => sum + (q - p[bin]!) * Math.log(q / p[bin]!), 0);
}
