/**
 * Keeps partitions of tables ready for the months to come, and brings the rows of months that had none home from the default
 * partition. A month that is missing costs no row, but without one of its own it cannot be dropped.
 *
 * A look makes each month in a transaction of its own, so that one which cannot be made holds up no other. Callers are not
 * held up either, as no lock is waited for longer than two seconds. While something is left to do it looks again soon.
 */
import { createBackoff } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Pool, PoolClient } from './pool.ts';

/** A table that is partitioned by months (UTC) of one of its columns, and has a default partition. */
export interface MonthlyTable {
  name: string;
  timeColumn: string;
}

export interface PartitionUpkeepOptions {
  pool: Pool;
  tables: readonly MonthlyTable[];
  clock: Clock;
  log: Pick<Log, 'info' | 'warn'>;
}

const MONTHS_AHEAD = 3;
const EVERY_MS = 6 * 60 * 60_000;
const FIRST_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 60_000;
/** The default may hold many rows, all of which are looked at; those of a month that is over are moved at once. */
const TIMEOUT_MS = 5 * 60_000;

/** Looks at once, a few times a day, and soon after a look that failed, such as while the database is away. */
export function startPartitionUpkeep({ pool, tables, clock, log }: PartitionUpkeepOptions): { close: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const backoff = createBackoff({ firstMs: FIRST_PAUSE_MS, longestMs: LONGEST_PAUSE_MS });
  let complaint: string | undefined;
  let atWork: PoolClient | undefined;
  let closed = false;

  function complain(error: unknown): void {
    const { message } = error as Error;
    // Said once, not at each look.
    if (message !== complaint && !closed) log.warn({ err: error }, 'partitions of months are not as they should be');
    complaint = message;
  }

  /** Returns whether all months are as they should be; rejects when it cannot be known. */
  async function look(client: PoolClient): Promise<boolean> {
    // The type does not know of a limit for one query.
    const query = (text: string, ...values: unknown[]) =>
      client.query({ text, values, query_timeout: TIMEOUT_MS + 1_000 } as { text: string; values: unknown[] });
    let isWell = true;
    const now = clock.now();
    await client.query(`set statement_timeout = ${TIMEOUT_MS}`);
    for (const { name: table, timeColumn } of tables) {
      const due = await query(
        'select month::text from partition_months_due($1, $2, $3, $4) as month',
        ...[table, timeColumn, MONTHS_AHEAD, now],
      );
      for (const { month } of due.rows) {
        try {
          const made = await query(
            'select ensure_month_partition($1, $2, $3, $4) as moved',
            table,
            timeColumn,
            month,
            now,
          );
          const { moved } = made.rows[0];
          isWell &&= moved !== null;
          if (moved > 0)
            log.info(
              { table, month, rows: Number(moved) },
              'rows have moved from the default partition to their month',
            );
        } catch (error) {
          if (closed) return false;
          complain(error);
          isWell = false;
        }
      }
    }
    await client.query('reset statement_timeout');
    return isWell;
  }

  async function keep(): Promise<void> {
    let isWell = false;
    try {
      const client = await pool.connect();
      if (closed) return client.release();
      atWork = client;
      isWell = await look(client);
      if (isWell) complaint = undefined;
    } catch (error) {
      complain(error);
    }
    // A connection on which something failed is not for others.
    if (!closed) atWork?.release(!isWell);
    atWork = undefined;
    if (closed) return;
    if (isWell) backoff.reset();
    timer = setTimeout(() => void keep(), isWell ? EVERY_MS : backoff.next());
    timer.unref();
  }

  void keep();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      // What is under way is finished by the server, or rolled back; nobody has to wait for it here.
      atWork?.release(true);
    },
  };
}
