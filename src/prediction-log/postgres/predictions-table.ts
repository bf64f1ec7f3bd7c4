/**
 * Bulk writes to `predictions`, in two ways. COPY is the fastest and converts nothing: a bigint read as a double would be
 * another number, and no error. So the types are looked at in the transaction that copies, under a lock that lets nobody
 * change them:
 *
 *     begin; lock; types?  -- as expected -->  copy; commit                           3 round trips
 *                          `- otherwise ---->  insert from typed arrays, slices; commit
 *
 * Postgres converts what is inserted from arrays, and can pass over what is there already.
 */
import { from as copyFrom } from 'pg-copy-streams';
import type { Pool, PoolClient } from '../../database/pool.ts';
import type { Column } from '../../feature-schema.ts';
import { within } from '../../within.ts';
import type { PredictionStore } from '../prediction-store.ts';
import { COPY_HEADER, COPY_TRAILER } from './copy-format.ts';
import { explained, failureOf, hasMoved, isAnswer, TOO_LATE } from './failures.ts';
import { arraysOf, firstRecords } from './tuples.ts';

/** What takes longer is given up and tried again; its rows cannot arrive twice. */
const LONGEST_MS = 30_000;
/** A connection that answers a rollback later than this is let go of. */
const ROLLBACK_MS = 1_000;
/** 500 rows of a dozen features. Arrays of so many values are made in half a millisecond, in which nobody is answered. */
const SLICE_VALUES = 8_500;

/** Where commits are confirmed before they are on the disk, a crash of the server would lose what the spool no longer has. */
const BEGIN = `begin isolation level read committed;
  select set_config('synchronous_commit', 'local', true) where current_setting('synchronous_commit') = 'off'`;

/** How a transaction ends. */
type End = 'commit' | 'rollback';

export function createPredictionsTable(pool: Pool): PredictionStore {
  const insertAll =
    (end: End): PredictionStore['insert'] =>
    (columns, records, withinMs) =>
      onConnection(pool, columns, withinMs, async (client) => {
        const [, , , fit] = (await client.query(beginAndCompare(client, columns))) as unknown as {
          rows: { fits: boolean }[];
        }[];
        await (fit!.rows[0]?.fits ? copy : insertArrays)(client, columns, records, end);
      });

  return {
    insert: insertAll('commit'),
    rehearse: insertAll('rollback'),
    insertMissing: (columns, records, withinMs) =>
      onConnection(pool, columns, withinMs, async (client) => {
        await client.query(BEGIN);
        await insertArrays(client, columns, records, 'commit');
      }),
    failureOf,
  };
}

/**
 * Begins a transaction and tells whether COPY may be used: it needs a table without row level security for this role and
 * with these very types. `only`, as a partition's columns change with those of its table, and what else is done to a
 * partition need not be waited for.
 */
function beginAndCompare(client: PoolClient, columns: readonly Column[]): string {
  const given = columns.map(({ name, type }) => `(${client.escapeLiteral(name)}, ${client.escapeLiteral(type)})`);
  return `${BEGIN};
    lock table only predictions in row exclusive mode;
    select relkind in ('r', 'p') and not row_security_active(predictions.oid) and count(*) = ${given.length} as fits
    from pg_class as predictions
    join pg_attribute on attrelid = predictions.oid
    join (values ${given.join()}) as given (name, type) on attname = name and format_type(atttypid, null) = type
    where predictions.oid = 'predictions'::regclass
    group by predictions.oid, relkind`;
}

function copy(client: PoolClient, columns: readonly Column[], records: Buffer, end: End): Promise<void> {
  return new Promise((resolve, reject) => {
    const text = `copy predictions (${namesOf(client, columns)}) from stdin with (format binary); ${end}`;
    const stream = client.query(copyFrom(text));
    stream.on('error', (error) => {
      // Or it would go on with what it has not sent yet, on a connection that is no longer its own.
      stream.destroy();
      reject(error);
    });
    stream.on('finish', resolve);
    stream.write(COPY_HEADER);
    stream.write(records);
    stream.end(COPY_TRAILER);
  });
}

/** Adds what is not there yet. */
async function insertArrays(client: PoolClient, columns: readonly Column[], records: Buffer, end: End): Promise<void> {
  const arrays = columns.map(({ type }, i) => `$${i + 1}::${type}[]`);
  const text = `insert into predictions (${namesOf(client, columns)}) select * from unnest(${arrays.join()})
    on conflict (id, created_at) do nothing`;
  const sliceRows = Math.ceil(SLICE_VALUES / columns.length);
  let rest = records;
  do {
    const slice = firstRecords(rest, sliceRows);
    await client.query(text, arraysOf(columns, slice));
    rest = rest.subarray(slice.length);
  } while (rest.length > 0);
  await client.query(end);
}

function namesOf(client: PoolClient, columns: readonly Column[]): string {
  return columns.map(({ name }) => client.escapeIdentifier(name)).join(', ');
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
 * Lends a connection for one transaction. After an error of the server's it is rolled back, which is answered when all
 * that was sent before has been read; any other error discards the connection, so that it cannot spoil the next batch.
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
