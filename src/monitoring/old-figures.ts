/** The end of what is computed from predictions: it goes with their months. */
import type { Pool } from '../database/pool.ts';

/** At once. */
const ROWS = 10_000;

/** Of these rows those before the first instant that is kept. A version keeps the half-widths that are in force. */
const old: Record<string, string> = {
  feature_histogram: 'hour < $1',
  live_quality: "day < ($1::timestamptz at time zone 'UTC')::date",
  live_quality_dirty: "day < ($1::timestamptz at time zone 'UTC')::date",
  interval_quantile: `effective_from < $1 and exists (
    select from interval_quantile as later
    where later.pipeline_version = interval_quantile.pipeline_version and later.effective_from > interval_quantile.effective_from
  )`,
};

export async function removeOldFigures(pool: Pool, firstKept: Date): Promise<void> {
  for (const [table, isOld] of Object.entries(old)) {
    let removed: number;
    do {
      const { rowCount } = await pool.query(
        `delete from ${table} where ctid = any (array(select ctid from ${table} where ${isOld} limit $2))`,
        [firstKept, ROWS],
      );
      removed = rowCount ?? 0;
    } while (removed === ROWS);
  }
}
