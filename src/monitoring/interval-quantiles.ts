/** The table of recalibrated half-widths: those of a version that are in force are its newest row. */
import type { Queryable } from '../database/pool.ts';

/** As they are stored; undefined where the version has none by then. */
export async function readHalfWidths(client: Queryable, pipelineVersion: string, now: Date): Promise<unknown> {
  const { rows } = await client.query(
    `select halfwidths from interval_quantile where pipeline_version = $1 and effective_from <= $2
     order by effective_from desc limit 1`,
    [pipelineVersion, now],
  );
  return rows[0]?.halfwidths;
}
