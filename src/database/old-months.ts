/** The end of what is kept by months: whole months that are over are dropped, which takes no time and leaves no holes. */
import type { MonthlyTable } from './month-partitions.ts';
import { type Pool, transaction } from './pool.ts';

/** Whoever reads or writes a table waits behind us while we wait for its lock. */
const WAIT_FOR_LOCK = '2s';
/** Of a default partition, at once: each is a row to be marked. */
const ROWS_AT_ONCE = 10_000;

export interface OldMonthsOptions {
  /** They lose a month together: what belongs to rows of one is not left in another. */
  tables: readonly MonthlyTable[];
  /** The first instant that is kept. */
  firstKept: Date;
  onDropped: (dropped: { partition: string; rows?: number }) => void;
}

/** The beginning of the month (UTC) that is so many months before that of `now`. */
export function monthsBefore(now: Date, months: number): Date {
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - months, 1));
}

/**
 * Drops each partition that ends before what is kept, whatever its name, and removes what the default partitions have from
 * before. Such rows may come back with an old spool: they are dropped again. A month that cannot be dropped holds up no other;
 * rejects with its error, such as 55P03, once all have been tried.
 */
export async function dropOldMonths(pool: Pool, { tables, firstKept, onDropped }: OldMonthsOptions): Promise<void> {
  // Before the partitions, so that nobody makes one of them anew for these rows.
  for (const table of tables) await removeFromDefault(pool, table, { firstKept, onDropped });
  let failure: { error: unknown } | undefined;
  for (const partitions of await monthsThatEndBefore(pool, tables, firstKept)) {
    try {
      await transaction(pool, (client) =>
        client.query(`set local lock_timeout = '${WAIT_FOR_LOCK}'; drop table ${partitions.join(', ')}`),
      );
      for (const partition of partitions) onDropped({ partition });
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure) throw failure.error;
}

/** As SQL names them, those of one end together. The end is a time of the connection's zone there, and is read as one. */
async function monthsThatEndBefore(pool: Pool, tables: readonly MonthlyTable[], firstKept: Date): Promise<string[][]> {
  const { rows } = await pool.query(
    `select array_agg(partition order by place, partition) as partitions
     from unnest($1::text[]) with ordinality as parent (name, place)
       join pg_inherits on inhparent = to_regclass(quote_ident(name)) join pg_class on pg_class.oid = inhrelid,
       lateral (
         select inhrelid::regclass::text as partition,
           substring(pg_get_expr(relpartbound, inhrelid) from 'TO \\(''([^'']+)''\\)')::timestamptz as ends
       ) as bound
     where ends <= $2 group by ends order by ends`,
    [tables.map(({ name }) => name), firstKept],
  );
  return rows.map((row) => row.partitions as string[]);
}

async function removeFromDefault(
  pool: Pool,
  { name, timeColumn }: MonthlyTable,
  { firstKept, onDropped }: Pick<OldMonthsOptions, 'firstKept' | 'onDropped'>,
): Promise<void> {
  const { rows: found } = await pool.query(
    `select nullif(partdefid, 0)::regclass::text as partition from pg_partitioned_table
     where partrelid = to_regclass(quote_ident($1))`,
    [name],
  );
  const partition = found[0]?.partition as string | undefined | null;
  if (!partition) return;
  let removed = 0;
  let last: number;
  do {
    const { rowCount } = await pool.query(
      `delete from ${partition} where ctid = any (array(select ctid from ${partition} where ${timeColumn} < $1 limit $2))`,
      [firstKept, ROWS_AT_ONCE],
    );
    last = rowCount ?? 0;
    removed += last;
  } while (last === ROWS_AT_ONCE);
  if (removed > 0) onDropped({ partition, rows: removed });
}
