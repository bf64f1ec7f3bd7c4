/** Champion and challenger on the same rows: whether the difference of their squared errors is more than chance. */
import { upperTailOfT } from './student-t.ts';

export interface PairedTest {
  /** Rows. */
  n: number;
  /** In the unit of the target; null without rows. */
  championRmse: number | null;
  challengerRmse: number | null;
  /** Of the squared errors, champion minus challenger: above 0 the challenger is nearer. */
  meanDifference: number | null;
  /** Null where all differences are the same. */
  t: number | null;
  /** How likely a difference like this, or a larger one, is where the challenger is not better; null where there is none. */
  pBetter: number | null;
  /** The same where it is not worse. */
  pWorse: number | null;
}

/** An answer that is further away, or no number, counts as this far: squares of larger ones overflow. */
const LARGEST_ERROR = 1e150;

/**
 * The one-sided paired t-test of squared errors, with n - 1 degrees of freedom. It is the test of Diebold and Mariano with the
 * correction of Harvey, Leybourne and Newbold, for forecasts of one step.
 */
export function pairedTest(
  actuals: ArrayLike<number>,
  champion: ArrayLike<number>,
  challenger: ArrayLike<number>,
): PairedTest {
  const n = actuals.length;
  const squared = (answers: ArrayLike<number>) =>
    Float64Array.from({ length: n }, (_, i) => squaredError(answers[i]!, actuals[i]!));
  const [ofChampion, ofChallenger] = [squared(champion), squared(challenger)];
  const differences = ofChampion.map((value, i) => value - ofChallenger[i]!);
  const none = { t: null, pBetter: null, pWorse: null };
  if (n === 0) return { n, championRmse: null, challengerRmse: null, meanDifference: null, ...none };

  // In units of the largest one, as squares of squares overflow too.
  const largest = differences.reduce((most, difference) => Math.max(most, Math.abs(difference)), 0);
  const scaled = differences.map((difference) => (largest > 0 ? difference / largest : 0));
  const mean = meanOf(scaled);
  const measured = {
    n,
    championRmse: Math.sqrt(meanOf(ofChampion)),
    challengerRmse: Math.sqrt(meanOf(ofChallenger)),
    meanDifference: mean * largest,
  };
  if (largest === 0 || n < 2) return { ...measured, ...none };
  // Sums of equal values round.
  if (scaled.every((value) => value === scaled[0])) {
    return { ...measured, t: null, pBetter: mean > 0 ? 0 : 1, pWorse: mean > 0 ? 1 : 0 };
  }
  const variance = scaled.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const t = mean / Math.sqrt(variance / n);
  return { ...measured, t, pBetter: upperTailOfT(t, n - 1), pWorse: upperTailOfT(-t, n - 1) };
}

function squaredError(answer: number, actual: number): number {
  const error = Math.abs(answer - actual);
  return (Number.isFinite(error) ? Math.min(error, LARGEST_ERROR) : LARGEST_ERROR) ** 2;
}

const meanOf = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
