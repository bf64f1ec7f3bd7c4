/** What the predictions of an hour looked like, counted where they are. */
import type { Column } from '../../contract/contract.ts';
import type { Bins, Reference } from '../../contract/reference-profile.ts';
import { escapeIdentifier, type Queryable } from '../../database/pool.ts';

const HOUR_MS = 3_600_000;

export interface HourOfVersion {
  hour: Date;
  pipelineVersion: string;
  /** All predictions of the version in the hour. */
  rows: number;
}

/** How many predictions each version has answered in each hour (UTC) from one time on, before another, the oldest hour first. */
export async function countHours(client: Queryable, from: Date, until: Date): Promise<HourOfVersion[]> {
  const { rows } = await client.query(
    `select date_trunc('hour', created_at, 'UTC') as hour, pipeline_version as "pipelineVersion", count(*)::float8 as rows
     from predictions where created_at >= $1 and created_at < $2 group by 1, 2 order by 1, 2`,
    [from, until],
  );
  return rows as unknown as HourOfVersion[];
}

export interface CountedColumn {
  /** What the counts are kept under. */
  name: string;
  column: Column;
  reference: Pick<Reference, 'bins' | 'range'>;
}

export interface ColumnCounts {
  name: string;
  /** Values that were looked at, nulls too. */
  rows: number;
  counts: number[];
  missing: number;
  /** Outside of the range of the training data. */
  below: number;
  above: number;
  /** Of those that are numbers; null without any. */
  mean: number | null;
}

/** More than that are not looked at: a part is, by the last byte of the id, which is random and the same on every host. */
const MOST_ROWS = 20_000;
/** In one statement. */
const MOST_COLUMNS = 40;

/** Counts the values of these columns into the bins of their references. Rejects where the table has no such column. */
export async function countColumns(
  client: Queryable,
  hour: HourOfVersion,
  columns: readonly CountedColumn[],
): Promise<ColumnCounts[]> {
  const counted: ColumnCounts[] = [];
  for (let start = 0; start < columns.length; start += MOST_COLUMNS) {
    counted.push(...(await countSome(client, hour, columns.slice(start, start + MOST_COLUMNS))));
  }
  return counted;
}

async function countSome(
  client: Queryable,
  { hour, pipelineVersion, rows: all }: HourOfVersion,
  columns: readonly CountedColumn[],
): Promise<ColumnCounts[]> {
  const values: unknown[] = [hour, endOf(hour), pipelineVersion, Math.max(1, Math.ceil((256 * MOST_ROWS) / all))];
  const parameter = (value: unknown) => `$${values.push(value)}`;
  const cells = columns.map(({ column, reference: { bins, range } }, place) => {
    const value = escapeIdentifier(column.name);
    const number = range === null ? 'null::float8' : `${value}::float8`;
    const sides =
      range === null
        ? 'false, false'
        : `${number} < ${parameter(range.min)}::float8, ${number} > ${parameter(range.max)}::float8`;
    return `(${place}, ${binOf(value, bins, parameter)}, ${number}, ${sides})`;
  });
  const { rows } = await client.query(
    `select place, bin, count(*)::int as rows, avg(number) as mean,
       count(*) filter (where is_below)::int as below, count(*) filter (where is_above)::int as above
     from predictions cross join lateral (values ${cells.join(', ')}) as cell (place, bin, number, is_below, is_above)
     where created_at >= $1 and created_at < $2 and pipeline_version = $3 and get_byte(uuid_send(id), 15) < $4
     group by place, bin`,
    values,
  );
  return columns.map(({ name, reference: { bins } }, place) =>
    together(name, binsOf(bins), rows.filter((row) => row.place === place) as unknown as BinRow[]),
  );
}

/** The bin of a value, from 0; null for null. */
function binOf(value: string, bins: Bins, parameter: (value: unknown) => string): string {
  switch (bins.kind) {
    case 'edges':
      return `width_bucket(${value}::float8, ${parameter(bins.edges)}::float8[])`;
    case 'constant':
      return `(${value}::float8 <> ${parameter(bins.value)}::float8)::int`;
    case 'categories':
      return (
        `case when ${value} is not null then ` +
        `coalesce(array_position(${parameter(bins.categories)}::text[], ${value}::text) - 1, ${bins.categories.length}) end`
      );
  }
}

function binsOf(bins: Bins): number {
  if (bins.kind === 'constant') return 2;
  return (bins.kind === 'edges' ? bins.edges : bins.categories).length + 1;
}

interface BinRow {
  bin: number | null;
  rows: number;
  mean: number | null;
  below: number;
  above: number;
}

function together(name: string, bins: number, rows: readonly BinRow[]): ColumnCounts {
  const counts = Array<number>(bins).fill(0);
  const total = { rows: 0, missing: 0, below: 0, above: 0 };
  let sum = 0;
  let numbers = 0;
  for (const { bin, rows: n, mean, below, above } of rows) {
    total.rows += n;
    total.below += below;
    total.above += above;
    if (bin === null) total.missing += n;
    else counts[bin]! += n;
    if (mean === null) continue;
    sum += mean * n;
    numbers += n;
  }
  return { name, ...total, counts, mean: numbers > 0 ? sum / numbers : null };
}

const endOf = (hour: Date) => new Date(hour.getTime() + HOUR_MS);
