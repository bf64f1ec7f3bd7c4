/** The errors of a version on the predictions of a day, computed where the labels are. */
import type { Queryable } from '../database/pool.ts';

export interface Cell {
  pipelineVersion: string;
  /** Of the predictions (UTC), such as 2026-11-20. */
  day: string;
}

/** Half-widths of intervals, each in force until the next. */
export interface HalfWidthsInTime {
  /** The first one, in force before the first change; null where there is none. */
  first: number | null;
  changes: readonly { from: Date; halfWidth: number | null }[];
}

/** What `live_quality` has of a cell, under its names. */
export interface CellMeasures {
  labelled: number;
  mean_error: number;
  mean_absolute_error: number;
  mean_squared_error: number;
  var_squared_error: number | null;
  mean_actual: number;
  syy_actual: number;
  covered: number | null;
  /** Seconds. */
  delay_p50: number;
  delay_p95: number;
  bin_labels: number[] | null;
  bin_squared_errors: number[] | null;
}

export interface CellOptions {
  halfWidths: HalfWidthsInTime;
  /** Of the bins of the predictions; undefined where they are not known. */
  edges: readonly number[] | undefined;
}

const MEASURES = `
  with label as (
    select prediction, actual, prediction - actual as error, received_at - predicted_at as delay,
      ($4::float8[])[1 + width_bucket(predicted_at, $5::timestamptz[])] as half_width
    from ground_truth
    where predicted_at >= $1 and predicted_at < $2 and pipeline_version = $3 and actual is not null
  )`;

/** Undefined where no truth of the cell is known. */
export async function measureCell(
  client: Queryable,
  { pipelineVersion, day }: Cell,
  { halfWidths: { first, changes }, edges }: CellOptions,
): Promise<CellMeasures | undefined> {
  const from = new Date(`${day}T00:00:00Z`);
  const until = new Date(from.getTime() + 24 * 3_600_000);
  const widths = [first, ...changes.map(({ halfWidth }) => halfWidth)];
  // An infinite one covers nothing that could be said.
  const finite = widths.map((width) => (width !== null && Number.isFinite(width) ? width : null));
  const where = [from, until, pipelineVersion, finite, changes.map((change) => change.from)];
  const { rows } = await client.query(
    `${MEASURES}
     select count(*)::float8 as labelled, avg(error) as mean_error, avg(abs(error)) as mean_absolute_error,
       avg(error * error) as mean_squared_error, var_samp(error * error) as var_squared_error,
       avg(actual) as mean_actual, case when min(actual) = max(actual) then 0 else regr_syy(actual, actual) end as syy_actual,
       case when bool_and(half_width is not null) then count(*) filter (where abs(error) <= half_width)::float8 end as covered,
       extract(epoch from percentile_cont(0.5) within group (order by delay))::float8 as delay_p50,
       extract(epoch from percentile_cont(0.95) within group (order by delay))::float8 as delay_p95
     from label having count(*) > 0`,
    where,
  );
  const [row] = rows;
  if (!row) return undefined;
  const bins = edges && (await binsOfCell(client, where, edges));
  return { ...row, bin_labels: bins?.labels ?? null, bin_squared_errors: bins?.squaredErrors ?? null } as CellMeasures;
}

async function binsOfCell(client: Queryable, where: unknown[], edges: readonly number[]) {
  const { rows } = await client.query(
    `${MEASURES}
     select width_bucket(prediction, $6::float8[]) as bin, count(*)::float8 as labels, sum(error * error) as squared_errors
     from label group by bin`,
    [...where, edges],
  );
  const labels = Array<number>(edges.length + 1).fill(0);
  const squaredErrors = Array<number>(edges.length + 1).fill(0);
  for (const { bin, labels: n, squared_errors } of rows) {
    labels[bin as number] = n as number;
    squaredErrors[bin as number] = squared_errors as number;
  }
  return { labels, squaredErrors };
}

/** The sizes of the newest errors of a version on rows that it was not trained on, in no order. */
export async function newestErrors(
  client: Queryable,
  pipelineVersion: string,
  { after, limit }: { after: Date; limit: number },
): Promise<number[]> {
  const { rows } = await client.query(
    `select abs(prediction - actual) as error from ground_truth
     where predicted_at > $2 and pipeline_version = $1 and actual is not null
     order by predicted_at desc limit $3`,
    [pipelineVersion, after, limit],
  );
  return rows.map(({ error }) => error as number);
}
