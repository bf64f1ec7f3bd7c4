/** The end of predictions: whole months that are over are dropped, which takes no time and leaves no holes in the table. */
import { type Pool, transaction } from '../../database/pool.ts';

/** Whoever reads or writes the table waits behind us while we wait for its lock. */
const WAIT_FOR_LOCK = '2s';
/** Of the default partition, at once: each is a row to be marked. */
const ROWS_AT_ONCE = 10_000;

export interface OldMonthsOptions {
  /** How many months before this one are kept, all of them UTC. */
  keepMonths: number;
  now: Date;
  onDropped: (dropped: { partition: string; rows?: number }) => void;
}

/**
 * Drops each partition of `predictions` that ends before the oldest month that is kept, whatever its name, and removes what the
 * default partition has from before. Such rows may come back with an old spool: they are dropped again. One that cannot be
 * dropped holds up no other; rejects with its error, such as 55P03, once all have been tried.
 */
export async function dropOldMonths(pool: Pool, { keepMonths, now, onDropped }: OldMonthsOptions): Promise<void> {
  const firstKept = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - keepMonths, 1));
  // Before the partitions, so that nobody makes one of them anew for these rows.
  await removeFromDefault(pool, { firstKept, onDropped });
  let failure: { error: unknown } | undefined;
  for (const partition of await partitionsBefore(pool, firstKept)) {
    try {
      await transaction(pool, (client) =>
        client.query(`set local lock_timeout = '${WAIT_FOR_LOCK}'; drop table ${partition}`),
      );
      onDropped({ partition });
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure) throw failure.error;
}

/** As SQL names them. The end of a partition is a time of the connection's zone there, and is read as one. */
async function partitionsBefore(pool: Pool, firstKept: Date): Promise<string[]> {
  const { rows } = await pool.query(
    `select inhrelid::regclass::text as partition
     from pg_inherits join pg_class on pg_class.oid = inhrelid
     where inhparent = 'predictions'::regclass
       and substring(pg_get_expr(relpartbound, inhrelid) from 'TO \\(''([^'']+)''\\)')::timestamptz <= $1
     order by 1`,
    [firstKept],
  );
  return rows.map((row) => row.partition as string);
}

async function removeFromDefault(
  pool: Pool,
  { firstKept, onDropped }: { firstKept: Date } & Pick<OldMonthsOptions, 'onDropped'>,
): Promise<void> {
  const { rows: found } = await pool.query(
    `select nullif(partdefid, 0)::regclass::text as partition from pg_partitioned_table where partrelid = 'predictions'::regclass`,
  );
  const partition = found[0]?.partition as string | undefined | null;
  if (!partition) return;
  let removed = 0;
  let last: number;
  do {
    const { rowCount } = await pool.query(
      `delete from ${partition} where ctid = any (array(select ctid from ${partition} where created_at < $1 limit $2))`,
      [firstKept, ROWS_AT_ONCE],
    );
    last = rowCount ?? 0;
    removed += last;
  } while (last === ROWS_AT_ONCE);
  if (removed > 0) onDropped({ partition, rows: removed });
}
