/**
 * The table of hourly histograms: what each version's features and predictions looked like in an hour that is over. An hour is
 * collected once, and again when its number of rows has changed since, as rows of a spool that was away come late.
 */
import { type Pool, type Queryable, transaction } from '../database/pool.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import {
  type ColumnCounts,
  type CountedColumn,
  countColumns,
  countHours,
  type HourOfVersion,
} from '../prediction-log/postgres/hour-of-predictions.ts';
import type { MonitoredVersion } from '../registry/monitored-versions.ts';
import type { MonitoredVersions } from './monitored-versions.ts';

const HOUR_MS = 3_600_000;
/** Hours in which rows may still arrive. */
const LOOKED_AT_AGAIN = 48;
/** Hours in one statement: of a million rows each it takes a second or two. */
const COUNTED_AT_ONCE = 12;
/** Hours that are made up for after an outage. */
const LONGEST_OUTAGE = 7 * 24;
/** The name under which the predictions themselves are kept; no feature has it. */
const PREDICTION = '';

export interface CollectionOptions {
  now: Date;
  /** The last hour that was collected before; undefined the first time. */
  collectedUntil: Date | undefined;
  versions: MonitoredVersions;
  log: Pick<Log, 'warn'>;
}

/** Collects what has to be; each hour of a version is a transaction of its own. Returns the end of the last hour. */
export async function collectHistograms(pool: Pool, options: CollectionOptions): Promise<Date> {
  const { now, collectedUntil, versions, log } = options;
  const end = startOfHour(now);
  const usual = end.getTime() - LOOKED_AT_AGAIN * HOUR_MS;
  const oldest = end.getTime() - LONGEST_OUTAGE * HOUR_MS;
  const start = Math.max(oldest, Math.min(usual, collectedUntil?.getTime() ?? oldest));
  for (let from = start; from < end.getTime(); from += COUNTED_AT_ONCE * HOUR_MS) {
    const part = [new Date(from), new Date(Math.min(end.getTime(), from + COUNTED_AT_ONCE * HOUR_MS))] as const;
    const known = await collectedRows(pool, ...part);
    for (const of of await countHours(pool, ...part)) {
      if (known.get(keyOf(of)) === of.rows) continue;
      await store(pool, of, await countVersion(pool, of, { version: await versions(of.pipelineVersion), log }));
    }
  }
  return end;
}

export function startOfHour(time: Date): Date {
  return new Date(Math.floor(time.getTime() / HOUR_MS) * HOUR_MS);
}

const keyOf = ({ hour, pipelineVersion }: Omit<HourOfVersion, 'rows'>) => `${hour.getTime()} ${pipelineVersion}`;

async function collectedRows(client: Queryable, from: Date, until: Date): Promise<Map<string, number>> {
  const { rows } = await client.query(
    `select hour, pipeline_version as "pipelineVersion", rows_all::float8 as rows from feature_histogram
     where hour >= $1 and hour < $2 and feature = $3`,
    [from, until, PREDICTION],
  );
  return new Map((rows as unknown as HourOfVersion[]).map((row) => [keyOf(row), row.rows]));
}

interface Known {
  version: MonitoredVersion | undefined;
  log: Pick<Log, 'warn'>;
}

/** Of a version without references there is nothing but the number of its rows. */
async function countVersion(client: Queryable, of: HourOfVersion, { version, log }: Known): Promise<ColumnCounts[]> {
  const columns = version ? countedColumns(version) : [];
  try {
    return await countColumns(client, of, columns);
  } catch (error) {
    // Such as a column that somebody has dropped: the others of the pass go on.
    if ((error as { code?: string }).code?.startsWith('42') !== true) throw error;
    log.warn(
      { pipelineVersion: of.pipelineVersion, reason: reasonOf(error) },
      'predictions of a version cannot be counted',
    );
    return [];
  }
}

function countedColumns({ contract, references, predictions }: MonitoredVersion): CountedColumn[] {
  const features = contract?.features ?? [];
  return [
    ...(predictions
      ? [
          {
            name: PREDICTION,
            column: { name: 'prediction', type: 'double precision' as const },
            reference: predictions,
          },
        ]
      : []),
    ...features.flatMap(({ name }, k) => {
      const reference = references.get(name);
      return reference ? [{ name, column: contract!.columns[k]!, reference }] : [];
    }),
  ];
}

async function store(
  pool: Pool,
  { hour, pipelineVersion, rows: all }: HourOfVersion,
  counted: readonly ColumnCounts[],
) {
  const nothing = { name: PREDICTION, rows: 0, counts: [], missing: 0, below: 0, above: 0, mean: null };
  const kept = counted.some(({ name }) => name === PREDICTION) ? counted : [nothing, ...counted];
  await transaction(pool, async (client) => {
    await client.query('delete from feature_histogram where hour = $1 and pipeline_version = $2', [
      hour,
      pipelineVersion,
    ]);
    // Arrays of one length each would be needed to send arrays of arrays.
    await client.query(
      `insert into feature_histogram (hour, pipeline_version, feature, rows_all, rows, counts, missing, below, above, mean)
       select $1, $2, name, $3, rows, array(select jsonb_array_elements_text(counts)::integer), missing, below, above, mean
       from jsonb_to_recordset($4) as one (name text, rows integer, counts jsonb, missing integer, below integer, above integer, mean float8)`,
      [hour, pipelineVersion, all, JSON.stringify(kept)],
    );
  });
}

/** What all predictions of a version looked like over some hours. */
export interface Window {
  predictions: number;
  /** By bin, as if every row had been looked at; undefined where the bins differ or are not known. */
  counts: number[] | undefined;
}

/** Of the predictions of each version, by day (UTC), from the first hour to before the last. */
export async function readPredictionDays(
  client: Queryable,
  from: Date,
  until: Date,
): Promise<Map<string, Map<string, Window>>> {
  const { rows } = await client.query(
    `select pipeline_version, (hour at time zone 'UTC')::date::text as day, rows_all::float8 as rows_all, rows, counts
     from feature_histogram where hour >= $1 and hour < $2 and feature = $3`,
    [from, until, PREDICTION],
  );
  const versions = new Map<string, Map<string, Window>>();
  for (const { pipeline_version, day, rows_all, rows: looked, counts } of rows as unknown as HistogramRow[]) {
    const days = versions.get(pipeline_version) ?? new Map<string, Window>();
    const scaled = looked > 0 ? counts.map((count) => (count * rows_all) / looked) : undefined;
    const hour = { predictions: rows_all, counts: scaled };
    const before = days.get(day);
    versions.set(pipeline_version, days.set(day, before ? together(before, hour) : hour));
  }
  return versions;
}

interface HistogramRow {
  pipeline_version: string;
  day: string;
  rows_all: number;
  rows: number;
  counts: number[];
}

export function together(a: Window, b: Window): Window {
  const counts =
    a.counts && b.counts && a.counts.length === b.counts.length
      ? a.counts.map((count, bin) => count + b.counts![bin]!)
      : undefined;
  return { predictions: a.predictions + b.predictions, counts };
}

/** What the values of a feature were over some hours. */
export interface WindowSums {
  /** That were looked at, nulls too. */
  rows: number;
  counts: number[];
  missing: number;
  below: number;
  above: number;
  mean: number | null;
}

export interface WindowOfVersion {
  from: Date;
  to: Date;
  /** All predictions. */
  rows: number;
  /** By feature; empty for the prediction. */
  sums: Map<string, WindowSums>;
}

/** Hours of a window; as many more as it takes until there are rows enough. */
const WINDOW_HOURS = 24;
const LONGEST_WINDOW_HOURS = 7 * 24;
const ROWS_ENOUGH = 500;

/** Of each version that answered in the last seven days: its last 24 hours that are over, or more until there are 500 rows. */
export async function readWindows(client: Queryable, now: Date): Promise<Map<string, WindowOfVersion>> {
  const to = startOfHour(now);
  const { rows } = await client.query(
    `with counted as (
       select pipeline_version, hour, rows_all,
         sum(rows_all) over (partition by pipeline_version order by hour desc) - rows_all as later
       from feature_histogram where hour >= $1 and hour < $2 and feature = ''
     ), chosen as (
       select pipeline_version, hour, rows_all from counted where hour >= $3 or later < $4
     ), total as (
       select pipeline_version, min(hour) as first, sum(rows_all)::float8 as rows_all from chosen group by pipeline_version
     )
     select pipeline_version, feature, first, total.rows_all, sum(rows)::float8 as rows, sum(missing)::float8 as missing,
       sum(below)::float8 as below, sum(above)::float8 as above,
       sum(mean * (rows - missing)) / nullif(sum(rows - missing) filter (where mean is not null), 0) as mean,
       array(
         select sum(count)::float8 from feature_histogram as bin
           join chosen using (pipeline_version, hour), unnest(counts) with ordinality as one (count, place)
         where bin.pipeline_version = total.pipeline_version and bin.feature = histogram.feature group by place order by place
       ) as counts
     from feature_histogram as histogram join chosen using (pipeline_version, hour) join total using (pipeline_version)
     group by pipeline_version, total.pipeline_version, feature, first, total.rows_all`,
    [hoursBefore(to, LONGEST_WINDOW_HOURS), to, hoursBefore(to, WINDOW_HOURS), ROWS_ENOUGH],
  );
  const windows = new Map<string, WindowOfVersion>();
  for (const row of rows as unknown as (WindowSums & {
    pipeline_version: string;
    feature: string;
    first: Date;
    rows_all: number;
  })[]) {
    const { pipeline_version, feature, first, rows_all, ...sums } = row;
    const from = new Date(Math.min(first.getTime(), hoursBefore(to, WINDOW_HOURS).getTime()));
    const window = windows.get(pipeline_version) ?? { from, to, rows: rows_all, sums: new Map<string, WindowSums>() };
    window.sums.set(feature, sums);
    windows.set(pipeline_version, window);
  }
  return windows;
}

const hoursBefore = (time: Date, hours: number) => new Date(time.getTime() - hours * HOUR_MS);
