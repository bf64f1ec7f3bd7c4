/** How far the answers of two versions to the same rows are from each other. */

export interface AgreementOfVersions {
  rows: number;
  /** In the target's unit. */
  mean_absolute_difference: number | null;
  p95_absolute_difference: number | null;
  /** Pearson's; null also where all answers of a version are the same. */
  correlation: number | null;
}

const SHARE = 0.95;

/** Of n answers each, all of them finite. */
export function agreementOf(a: readonly number[], b: readonly number[]): AgreementOfVersions {
  const differences = a.map((answer, i) => Math.abs(answer - b[i]!)).sort((one, other) => one - other);
  const rows = differences.length;
  return {
    rows,
    mean_absolute_difference: rows > 0 ? meanOf(differences) : null,
    p95_absolute_difference: rows > 0 ? quantileOf(differences, SHARE) : null,
    correlation: correlationOf(a, b),
  };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Between the two nearest of n sorted values, as numpy.quantile has it. */
function quantileOf(sorted: readonly number[], share: number): number {
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)]!;
  return below + (place % 1) * (sorted[Math.ceil(place)]! - below);
}

function correlationOf(a: readonly number[], b: readonly number[]): number | null {
  // Sums of equal values round.
  if ([a, b].some((answers) => answers.every((answer) => answer === answers[0]))) return null;
  const [meanA, meanB] = [meanOf(a), meanOf(b)];
  let [together, ofA, ofB] = [0, 0, 0];
  a.forEach((value, i) => {
    const [da, db] = [value - meanA, b[i]! - meanB];
    together += da * db;
    ofA += da * da;
    ofB += db * db;
  });
  if (ofA === 0 || ofB === 0) return null;
  // Rounding may lead out of the range.
  return Math.max(-1, Math.min(1, together / Math.sqrt(ofA) / Math.sqrt(ofB)));
}
