/** Ground truth: what became of a prediction, and what becomes of a label that says so. */

export interface Label {
  /** The UUID version 7 that the prediction was answered with, in lower case. */
  predictionId: string;
  /** In the unit of the prediction; null: what was said before was wrong, and no better is known. */
  actual: number | null;
  /** When the truth was observed; now, where nobody says. Of two truths the later one counts. */
  observedAt?: Date | undefined;
}

/**
 * What a label was: stored, as the first; unchanged, the same again; corrected, another value; superseded, older than what is
 * there; withdrawn; pending, as its prediction has not arrived in Postgres; unknown, as there is none.
 */
export const labelResults = [
  ...(['stored', 'unchanged', 'corrected', 'superseded', 'withdrawn', 'pending', 'unknown'] as const),
];

export type LabelResult = (typeof labelResults)[number];

/** Larger ones are mistyped, and would make every sum of squares infinite. */
export const LARGEST_ACTUAL = 1e12;

/** How far an observation may be ahead of our clock: a clock that is years ahead would block all later corrections. */
export const FURTHEST_AHEAD_MS = 5 * 60_000;

const HOUR_MS = 3_600_000;

/** RFC 9562, 5.7: the version is 7, the variant 10. */
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** The time in the id, which is `created_at` of the prediction to the millisecond; undefined where it is no UUID version 7. */
export function timeOfPredictionId(id: string): Date | undefined {
  return UUID_V7.test(id) ? new Date(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)) : undefined;
}

/**
 * Whether a prediction of this time that is not in Postgres may wait in a spool, here or on another host, whose clock may be a
 * little ahead.
 */
export function mayStillArrive(predictedAt: Date, now: Date): boolean {
  const age = now.getTime() - predictedAt.getTime();
  return age <= 24 * HOUR_MS && age >= -FURTHEST_AHEAD_MS;
}
