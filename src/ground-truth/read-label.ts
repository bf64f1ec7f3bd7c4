/** The label of one prediction. */
import type { Queryable } from '../database/pool.ts';

export interface StoredLabel {
  /** Null where it was withdrawn. */
  actual: number | null;
  observedAt: Date;
  /** 1 for the first truth, and 1 more for each other one. */
  revision: number;
}

/** Undefined where there is none. With the time of the prediction the look-up touches one partition. */
export async function readLabel(
  client: Queryable,
  predictionId: string,
  predictedAt: Date,
): Promise<StoredLabel | undefined> {
  const { rows } = await client.query(
    'select actual, observed_at, revision from ground_truth where prediction_id = $1 and predicted_at = $2',
    [predictionId, predictedAt],
  );
  const [row] = rows;
  if (!row) return undefined;
  return {
    actual: row.actual as number | null,
    observedAt: row.observed_at as Date,
    revision: row.revision as number,
  };
}
