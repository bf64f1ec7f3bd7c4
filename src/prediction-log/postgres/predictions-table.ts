/**
 * Bulk writes to `predictions`, in two ways. COPY is the fastest and converts nothing: a bigint read as a double would be
 * another number, and no error. So the table is looked at in the transaction that copies, under a lock that keeps it from
 * being changed:
 *
 *     begin; lock; look  -- as expected -->  copy; commit                                      3 round trips
 *                        `- otherwise ---->  insert from typed arrays, in slices, checked; commit
 *
 * Postgres converts what is inserted from arrays, and can pass over rows that are there already. Each record is checked to
 * be there with the values that were answered (insert-arrays.ts).
 */
import { from as copyFrom } from 'pg-copy-streams';
import type { Column } from '../../contract/contract.ts';
import type { Pool, PoolClient } from '../../database/pool.ts';
import { within } from '../../within.ts';
import type { PredictionStore } from '../prediction-store.ts';
import { COPY_HEADER, COPY_TRAILER } from './copy-format.ts';
import { columnsMissing, explained, failureOf, hasMoved, isAnswer, TOO_LATE } from './failures.ts';
import { insertArrays, namesOf, type Table } from './insert-arrays.ts';

/** An insert that takes longer is given up and tried again; its rows cannot arrive twice. */
const LONGEST_MS = 30_000;
/** A connection that has not answered a rollback by then is discarded. */
const ROLLBACK_MS = 1_000;
/** With synchronous_commit=off a crash of the server could lose committed rows, which the spool no longer has. */
const BEGIN = `begin isolation level read committed;
  select set_config('synchronous_commit', 'local', true) where current_setting('synchronous_commit') = 'off'`;

/** Bits of `tgtype`: https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_trigger.h */
const ROW_BEFORE_INSERT = 1 | 2 | 4;

interface Look {
  isTable: boolean;
  hidesRows: boolean;
  typesFit: boolean;
  altered: Record<string, string> | null;
  missing: string[] | null;
  hasTrigger: boolean;
}

/** How a transaction ends; one that is taken back meets what a commit would meet. */
type End = 'commit' | 'set constraints all immediate; rollback';

export function createPredictionsTable(pool: Pool): PredictionStore {
  const insertAll =
    (end: End): PredictionStore['insert'] =>
    (columns, records, withinMs) =>
      onConnection(pool, columns, withinMs, async (client) => {
        const table = await beginAndLook(client, columns);
        if (table.takesCopy) return await copy(client, columns, records, end);
        await insertArrays(client, table, columns, records);
        await client.query(end);
      });

  return {
    insert: insertAll('commit'),
    rehearse: insertAll('set constraints all immediate; rollback'),
    insertMissing: (columns, records, withinMs) =>
      onConnection(pool, columns, withinMs, async (client) => {
        await insertArrays(client, await beginAndLook(client, columns), columns, records);
        await client.query('commit');
      }),
    failureOf,
  };
}

/**
 * Begins a transaction and finds out whether COPY may be used: it needs a table without row level security for this role,
 * with these very types, and without a trigger that may leave rows out, which COPY does not report. `only`, because a
 * partition's columns change with those of its table, and other changes of a partition need not be waited for.
 */
async function beginAndLook(client: PoolClient, columns: readonly Column[]): Promise<Table & { takesCopy: boolean }> {
  const given = columns.map(({ name, type }) => `(${client.escapeLiteral(name)}, ${client.escapeLiteral(type)})`);
  const text = `${BEGIN};
    lock table only predictions in row exclusive mode;
    select relkind in ('r', 'p') as "isTable", row_security_active(predictions.oid) as "hidesRows",
      count(*) filter (where format_type(atttypid, null) = type) = ${given.length} as "typesFit",
      json_object_agg(name, format_type(atttypid, atttypmod)) filter (where format_type(atttypid, null) <> type) as altered,
      json_agg(name) filter (where attname is null) as missing,
      exists (
        select from pg_trigger
        where tgtype & ${ROW_BEFORE_INSERT} = ${ROW_BEFORE_INSERT} and tgenabled <> 'D' and (tgrelid = predictions.oid
          or tgrelid in (select inhrelid from pg_inherits where inhparent = predictions.oid))
      ) as "hasTrigger"
    from pg_class as predictions
    cross join (values ${given.join()}) as given (name, type)
    left join pg_attribute on attrelid = predictions.oid and attnum > 0 and attname = name
    where predictions.oid = 'predictions'::regclass
    group by predictions.oid, relkind`;
  const results = (await client.query(text)) as unknown as { rows: Look[] }[];
  const { isTable, hidesRows, typesFit, altered, missing, hasTrigger } = results.at(-1)!.rows[0]!;
  if (missing) throw columnsMissing(columns.filter(({ name }) => missing.includes(name)));
  return {
    takesCopy: isTable && typesFit && !hidesRows && !hasTrigger,
    hidesRows,
    altered: new Map(Object.entries(altered ?? {})),
  };
}

function copy(client: PoolClient, columns: readonly Column[], records: Buffer, end: End): Promise<void> {
  return new Promise((resolve, reject) => {
    const text = `copy predictions (${namesOf(client, columns)}) from stdin with (format binary); ${end}`;
    const stream = client.query(copyFrom(text));
    stream.on('error', (error) => {
      // Otherwise it would go on sending, on a connection that is no longer its own.
      stream.destroy();
      reject(error);
    });
    stream.on('finish', resolve);
    stream.write(COPY_HEADER);
    stream.write(records);
    stream.end(COPY_TRAILER);
  });
}

type Work = (client: PoolClient) => Promise<void>;

async function onConnection(pool: Pool, columns: readonly Column[], withinMs: number | undefined, work: Work) {
  try {
    await attempt(pool, withinMs, work);
  } catch (error) {
    if (!hasMoved(error)) throw explained(error, columns);
    await attempt(pool, withinMs, work);
  }
}

/**
 * Lends a connection for one transaction. After an error of the server it is rolled back, which the server answers once it
 * has read all that was sent before. Any other error discards the connection, so that it cannot spoil the next batch.
 */
async function attempt(pool: Pool, withinMs = LONGEST_MS, work: Work): Promise<void> {
  const client = await pool.connect();
  try {
    await inTime(work(client), withinMs);
    client.release();
  } catch (error) {
    const rolledBack = isAnswer(error) && (await inTime(client.query('rollback'), ROLLBACK_MS).catch(() => false));
    client.release(!rolledBack);
    throw error;
  }
}

function inTime<Result>(work: Promise<Result>, milliseconds: number): Promise<Result> {
  return within(milliseconds, work, () => {
    throw Object.assign(new Error(`no answer within ${milliseconds / 1000} s`), { code: TOO_LATE });
  });
}
