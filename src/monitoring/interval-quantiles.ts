/**
 * The table of recalibrated half-widths: rolling split conformal prediction, the rule of inference/half-widths.ts on the newest
 * errors in the field. Those of a version that are in force are its newest row; before the first, its training decides.
 */
import type { Pool, Queryable } from '../database/pool.ts';
import type { HalfWidthsInTime } from '../ground-truth/measure-cell.ts';
import { newestErrors } from '../ground-truth/measure-cell.ts';
import { halfWidthsOf } from '../inference/half-widths.ts';
import type { MonitoredVersion } from '../registry/monitored-versions.ts';

/** Fewer say less than the training does. */
const FEWEST_ERRORS = 200;
const NEWEST_ERRORS = 1_000;
/** Older ones say nothing of today. */
const OLDEST_DAYS = 90;

/** As they are stored; undefined where the version has none by then. */
export async function readHalfWidths(client: Queryable, pipelineVersion: string, now: Date): Promise<unknown> {
  const { rows } = await client.query(
    `select halfwidths from interval_quantile where pipeline_version = $1 and effective_from <= $2
     order by effective_from desc limit 1`,
    [pipelineVersion, now],
  );
  return rows[0]?.halfwidths;
}

/** All changes of one level, the first one first. */
export async function readHalfWidthsInTime(
  client: Queryable,
  pipelineVersion: string,
  place: number,
): Promise<HalfWidthsInTime['changes']> {
  const { rows } = await client.query(
    `select effective_from as "from", halfwidths[$2] as "halfWidth" from interval_quantile
     where pipeline_version = $1 order by effective_from`,
    [pipelineVersion, place + 1],
  );
  return rows as unknown as HalfWidthsInTime['changes'];
}

/** Appends a row where the newest errors of the version give other half-widths than are in force. */
export async function recalibrate(pool: Pool, version: MonitoredVersion, now: Date): Promise<boolean> {
  const { pipelineVersion, trainedThrough } = version;
  const oldest = now.getTime() - OLDEST_DAYS * 24 * 3_600_000;
  const after = new Date(Math.max(oldest, trainedThrough?.getTime() ?? 0));
  const errors = await newestErrors(pool, pipelineVersion, { after, limit: NEWEST_ERRORS });
  if (errors.length < FEWEST_ERRORS) return false;
  const halfWidths = Array.from(halfWidthsOf(errors.sort((a, b) => a - b)));
  const { rows } = await pool.query(
    `insert into interval_quantile (pipeline_version, effective_from, halfwidths, n)
     select $1, $2, $3, $4
     where $3::float8[] is distinct from (
       select halfwidths from interval_quantile where pipeline_version = $1 and effective_from <= $2
       order by effective_from desc limit 1
     )
     on conflict (pipeline_version, effective_from) do nothing returning n`,
    [pipelineVersion, now, halfWidths, errors.length],
  );
  return rows.length > 0;
}
