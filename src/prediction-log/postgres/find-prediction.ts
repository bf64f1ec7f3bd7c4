/** One stored prediction, for whoever has its id. */
import type { Queryable } from '../../database/pool.ts';

export interface FoundPrediction {
  prediction: number;
  pipelineVersion: string;
  /** Every column by its name as JSON has it: a bigint is a number. */
  columns: Readonly<Record<string, unknown>>;
}

/** Undefined where there is none. With its time, which is in its id, the look-up touches one partition. */
export async function findPrediction(
  client: Queryable,
  id: string,
  createdAt: Date,
): Promise<FoundPrediction | undefined> {
  const { rows } = await client.query(
    `select prediction, pipeline_version, row_to_json(predictions) as columns
     from predictions where id = $1 and created_at = $2`,
    [id, createdAt],
  );
  const [row] = rows;
  if (!row) return undefined;
  return {
    prediction: row.prediction as number,
    pipelineVersion: row.pipeline_version as string,
    columns: row.columns as FoundPrediction['columns'],
  };
}
