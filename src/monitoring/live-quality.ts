/**
 * The table of live quality: a cell for each version and day (UTC) of its predictions. Whoever changes a label appends its cell
 * to a queue; the cells of the queue are computed anew from the labels, never added to: sums that are added to and subtracted
 * from lose digits, and stay infinite after one absurd label.
 */
import type { Contract } from '../contract/contract.ts';
import { LOCK_KEY } from '../database/advisory-lock.ts';
import { type Pool, type Queryable, transaction } from '../database/pool.ts';
import { type Cell, type CellMeasures, type HalfWidthsInTime, measureCell } from '../ground-truth/measure-cell.ts';
import { halfWidthsOf, placeOfLevel } from '../inference/half-widths.ts';
import type { MonitoredVersion } from '../registry/monitored-versions.ts';
import { readHalfWidthsInTime } from './interval-quantiles.ts';
import { createMonitoredVersions } from './monitored-versions.ts';
import type { QualityCell } from './quality-measures.ts';

/** Of which coverage is counted. */
export const LEVEL = 0.9;
/** Of a step; what is left is done in the next one. */
const MOST_CELLS = 50;

/** Computes cells of the queue anew, and returns how many. */
export async function recomputeCells(pool: Pool, now: Date, shipped: Contract): Promise<number> {
  return await transaction(pool, async (client) => {
    const versions = createMonitoredVersions(client, shipped);
    // Whoever computed a cell before others changed it must not write it after them.
    await client.query(`select pg_advisory_xact_lock(${LOCK_KEY})`, ['ridgeline_live_quality']);
    const { rows: cells } = await client.query(
      `with cell as (select distinct pipeline_version, day from live_quality_dirty limit ${MOST_CELLS}), taken as (
         delete from live_quality_dirty using cell
         where live_quality_dirty.pipeline_version = cell.pipeline_version and live_quality_dirty.day = cell.day
       )
       select pipeline_version as "pipelineVersion", day::text as day from cell`,
    );
    for (const cell of cells as Cell[])
      await recompute(client, cell, { now, version: await versions(cell.pipelineVersion) });
    return cells.length;
  });
}

async function recompute(
  client: Queryable,
  cell: Cell,
  { now, version }: { now: Date; version: MonitoredVersion | undefined },
): Promise<void> {
  const halfWidths = await halfWidthsInTime(client, cell.pipelineVersion, version);
  const bins = version?.predictions?.bins;
  const measures = await measureCell(client, cell, {
    halfWidths,
    edges: bins?.kind === 'edges' ? bins.edges : undefined,
  });
  const key = [cell.pipelineVersion, cell.day];
  if (!measures) await client.query('delete from live_quality where pipeline_version = $1 and day = $2', key);
  else await write(client, key, measures, now);
}

async function halfWidthsInTime(
  client: Queryable,
  pipelineVersion: string,
  version: MonitoredVersion | undefined,
): Promise<HalfWidthsInTime> {
  const own = version?.residuals as number[] | null | undefined;
  const place = placeOfLevel(LEVEL)!;
  return {
    first: own ? halfWidthsOf(own)[place]! : null,
    changes: await readHalfWidthsInTime(client, pipelineVersion, place),
  };
}

async function write(client: Queryable, key: unknown[], measures: CellMeasures, now: Date): Promise<void> {
  await client.query(
    `insert into live_quality (pipeline_version, day, labelled, mean_error, mean_absolute_error, mean_squared_error,
       var_squared_error, mean_actual, syy_actual, covered, delay_p50, delay_p95, bin_labels, bin_squared_errors, computed_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, make_interval(secs => $11), make_interval(secs => $12), $13, $14, $15)
     on conflict (pipeline_version, day) do update set labelled = excluded.labelled, mean_error = excluded.mean_error,
       mean_absolute_error = excluded.mean_absolute_error, mean_squared_error = excluded.mean_squared_error,
       var_squared_error = excluded.var_squared_error, mean_actual = excluded.mean_actual, syy_actual = excluded.syy_actual,
       covered = excluded.covered, delay_p50 = excluded.delay_p50, delay_p95 = excluded.delay_p95,
       bin_labels = excluded.bin_labels, bin_squared_errors = excluded.bin_squared_errors, computed_at = excluded.computed_at`,
    [
      ...key,
      measures.labelled,
      measures.mean_error,
      measures.mean_absolute_error,
      measures.mean_squared_error,
      measures.var_squared_error,
      measures.mean_actual,
      measures.syy_actual,
      measures.covered,
      measures.delay_p50,
      measures.delay_p95,
      measures.bin_labels,
      measures.bin_squared_errors,
      now,
    ],
  );
}

/** A cell as it is read. */
export interface StoredCell extends QualityCell {
  pipeline_version: string;
  day: string;
  /** Seconds. */
  delay_p50: number;
  delay_p95: number;
  bin_labels: number[] | null;
  bin_squared_errors: number[] | null;
  computed_at: Date;
}

/** The cells of these days, in their order. */
export async function readCells(client: Queryable, from: string, to: string): Promise<StoredCell[]> {
  const { rows } = await client.query(
    `select pipeline_version, day::text as day, labelled::float8 as labelled, mean_error, mean_absolute_error,
       mean_squared_error, var_squared_error, mean_actual, syy_actual, covered::float8 as covered,
       extract(epoch from delay_p50)::float8 as delay_p50, extract(epoch from delay_p95)::float8 as delay_p95,
       bin_labels::float8[] as bin_labels, bin_squared_errors, computed_at
     from live_quality where day between $1 and $2 order by day, pipeline_version`,
    [from, to],
  );
  return rows as unknown as StoredCell[];
}

/** How many cells have changed since they were computed. */
export async function countWaitingCells(client: Queryable): Promise<number> {
  const { rows } = await client.query(
    'select count(*)::int as cells from (select distinct pipeline_version, day from live_quality_dirty) as waiting',
  );
  return rows[0]!.cells as number;
}
