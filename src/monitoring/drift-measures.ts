/**
 * How far values are from those that a version was trained on. Two conditions, so that neither few nor many rows alarm by
 * themselves: the size of the difference (stability index), and that it is more than chance (two-sample chi-square on the same
 * bins, after Benjamini and Hochberg over all features and the prediction).
 */
import gammainc from '@stdlib/math-base-special-gammainc';
import { populationStabilityIndex } from './psi.ts';

export type DriftStatus = 'ok' | 'watch' | 'drift' | 'not_enough_rows' | 'no_reference';

export interface Distance {
  /** Stability index. */
  psi: number;
  /** What it is on average without any drift: (bins - 1)(1/R + 1/C). */
  noise: number;
  /** Of the chi-square test. */
  p: number;
}

export const DRIFT = 0.2;
const WATCH = 0.1;
const SIGNIFICANT = 0.01;
export const FEWEST_ROWS = 200;

/** Between the counts of the same bins, in the training data and now. */
export function distanceBetween(reference: readonly number[], current: readonly number[]): Distance {
  const [R, C] = [sum(reference), sum(current)];
  return {
    psi: populationStabilityIndex(reference, current),
    noise: (reference.length - 1) * (1 / R + 1 / C),
    p: chiSquareTest(reference, current),
  };
}

/** Pearson's, of two samples, over the bins that hold anything; 1 where fewer than two do, or a sample is empty. */
function chiSquareTest(a: readonly number[], b: readonly number[]): number {
  const [A, B] = [sum(a), sum(b)];
  const held = a.flatMap((count, bin) => (count + b[bin]! > 0 ? [[count, b[bin]!] as const] : []));
  if (held.length < 2 || A === 0 || B === 0) return 1;
  let statistic = 0;
  for (const [inA, inB] of held) {
    const share = (inA + inB) / (A + B);
    statistic += (inA - A * share) ** 2 / (A * share) + (inB - B * share) ** 2 / (B * share);
  }
  return upperTail(statistic, held.length - 1);
}

/** Of the chi-square distribution. Not 1 - its lower tail, which is 0 below 1e-16. */
export function upperTail(statistic: number, degreesOfFreedom: number): number {
  return gammainc(statistic / 2, degreesOfFreedom / 2, true, true);
}

/** Adjusted p-values, in the order of the given ones: `scipy.stats.false_discovery_control`. */
export function benjaminiHochberg(ps: readonly number[]): number[] {
  const order = [...ps.keys()].sort((a, b) => ps[b]! - ps[a]!);
  const adjusted = Array<number>(ps.length);
  let least = 1;
  order.forEach((at, place) => {
    least = Math.min(least, (ps[at]! * ps.length) / (ps.length - place));
    adjusted[at] = least;
  });
  return adjusted;
}

/** Of rows that suffice. */
export function statusOf(psi: number, adjustedP: number): 'ok' | 'watch' | 'drift' {
  if (psi < WATCH || adjustedP > SIGNIFICANT) return 'ok';
  return psi < DRIFT ? 'watch' : 'drift';
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
