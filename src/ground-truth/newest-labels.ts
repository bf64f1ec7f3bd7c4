/** Predictions of which the truth is known, the newest first: read by key, a page at a time, however many there are. */
import type { Queryable } from '../database/pool.ts';
import type { PredictionKey } from './keys.ts';

export interface KnownTruth extends PredictionKey {
  actual: number;
  observedAt: Date;
  receivedAt: Date;
  /** The version that had answered. */
  pipelineVersion: string;
}

const LABELS_OF_A_PAGE = 10_000;
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** Those of predictions that were answered later than `after`, if it is there; without those that were withdrawn, or wait for their prediction. */
export async function* newestLabels(client: Queryable, after: Date | null): AsyncGenerator<KnownTruth[]> {
  let last: { predictedAt: Date | 'infinity'; predictionId: string } = {
    predictedAt: 'infinity',
    predictionId: LAST_ID,
  };
  for (;;) {
    const { rows } = await client.query(
      `select prediction_id, predicted_at, actual, observed_at, received_at, pipeline_version from ground_truth
       where predicted_at > $1 and predicted_at <= $2 and (predicted_at, prediction_id) < ($2, $3)
         and actual is not null and pipeline_version is not null
       order by predicted_at desc, prediction_id desc limit $4`,
      [after ?? '-infinity', last.predictedAt, last.predictionId, LABELS_OF_A_PAGE],
    );
    const page = rows.map((row) => ({
      predictionId: row.prediction_id as string,
      predictedAt: row.predicted_at as Date,
      actual: row.actual as number,
      observedAt: row.observed_at as Date,
      receivedAt: row.received_at as Date,
      pipelineVersion: row.pipeline_version as string,
    }));
    if (page.length > 0) yield page;
    if (page.length < LABELS_OF_A_PAGE) return;
    last = page.at(-1)!;
  }
}

/** How many there are, counted up to `most`. */
export async function countLabelsAfter(client: Queryable, after: Date | null, most: number): Promise<number> {
  const { rows } = await client.query(
    `select count(*)::int as labels from (
       select from ground_truth where predicted_at > $1 and actual is not null and pipeline_version is not null limit $2
     ) as counted`,
    [after ?? '-infinity', most],
  );
  return rows[0]!.labels as number;
}
