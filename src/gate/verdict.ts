/**
 * What a test of champion and challenger decides. A version is looked at more than once, as its truths come in: at its
 * publication, and when 100, 200, 400, 800 and 1,600 rows that it has not learned from have theirs. Each look is tested at a level of
 * its own, so that together they are wrong no more often than one (decision 0016).
 */
import type { PairedTest } from './paired-test.ts';

export interface Verdict {
  decision: 'promoted' | 'held' | 'rejected';
  /** In a word. */
  reason: 'better' | 'worse' | 'not_proven_better' | 'no_difference' | 'too_few_labels';
}

/** Of fewer rows the test is not what it says: squared errors have heavy tails. */
export const FEWEST_ROWS = 100;
/** How many rows there are at the looks. */
const LOOKS = [FEWEST_ROWS, 200, 400, 800, 1_600];
/** Of all looks at a version together: the share of versions that are no better and are promoted all the same. */
const LEVEL = 0.05;
/** Stricter, as squared errors lean to that side: at 5 % up to 15 % of equal ones were called worse. */
const LEVEL_OF_WORSE = 0.01;

/** The level of a look, from 1: 0.05 / (k (k + 1)), which over all k adds up to 0.05. */
export function levelOf(look: number): number {
  return LEVEL / (look * (look + 1));
}

/** How many rows the next look needs after one at so many; undefined where there is none any more. */
export function rowsOfNextLook(rowsBefore: number): number | undefined {
  return LOOKS.find((rows) => rows > rowsBefore);
}

/** What the test says at this level of error. */
export function judge({ n, meanDifference, pBetter, pWorse }: PairedTest, level: number): Verdict {
  if (n < FEWEST_ROWS) return { decision: 'held', reason: 'too_few_labels' };
  if (meanDifference === 0 || pBetter === null || pWorse === null) return { decision: 'held', reason: 'no_difference' };
  if (pBetter <= level) return { decision: 'promoted', reason: 'better' };
  if (pWorse <= LEVEL_OF_WORSE) return { decision: 'rejected', reason: 'worse' };
  return { decision: 'held', reason: 'not_proven_better' };
}
