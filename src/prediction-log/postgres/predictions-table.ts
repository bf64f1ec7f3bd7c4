/** Bulk writes to `predictions` with COPY, the fastest way into Postgres. */
import { from as copyFrom } from 'pg-copy-streams';
import type { Pool, PoolClient } from '../../database/pool.ts';
import type { Column } from '../../feature-schema.ts';
import type { PredictionStore } from '../prediction-store.ts';
import { COPY_HEADER, COPY_TRAILER } from './copy-format.ts';

/** A batch that takes longer is given up and tried again; its rows cannot arrive twice. */
const COPY_TIMEOUT_MS = 30_000;

/** SQLSTATE classes that blame the content: 22 data exception, 23 integrity constraint violation. */
const REFUSED = /^2[23]/;
const UNIQUE_VIOLATION = '23505';
const CHECK_VIOLATION = '23514';

export function createPredictionsTable(pool: Pool): PredictionStore {
  const knownToFit = new WeakMap<PoolClient, Set<string>>();

  /** Whether the table has these types. It is asked once a connection: a type changes in a migration, if ever. */
  async function fitsTable(client: PoolClient, columns: readonly Column[]): Promise<boolean> {
    const known = knownToFit.get(client) ?? new Set();
    const key = definitionOf(columns);
    if (known.has(key)) return true;
    const { rows } = await client.query(
      `select count(*)::int as fitting from pg_attribute
       join unnest($1::text[], $2::text[]) as given (name, type) on attname = name and format_type(atttypid, null) = type
       where attrelid = 'predictions'::regclass`,
      [columns.map(({ name }) => name), columns.map(({ type }) => type)],
    );
    if (rows[0].fitting !== columns.length) return false;
    knownToFit.set(client, known.add(key));
    return true;
  }

  return {
    insert: (columns, records, withinMs) =>
      withConnection(pool, withinMs, async (client) => {
        // In binary nothing is converted: a bigint read as a double would be another number, and no error.
        if (await fitsTable(client, columns)) await copy(client, 'predictions', columns, records);
        else await insertThroughTemporaryTable(client, columns, records, '');
      }),
    insertMissing: (columns, records, withinMs) =>
      withConnection(pool, withinMs, (client) =>
        insertThroughTemporaryTable(client, columns, records, 'on conflict (id, created_at) do nothing'),
      ),
    failureOf(error) {
      const code = (error as { code?: string }).code ?? '';
      if (code === UNIQUE_VIOLATION) return 'duplicate';
      return REFUSED.test(code) ? 'refused' : 'unavailable';
    },
  };
}

/** By way of a temporary table with the types of the records, because COPY itself can neither convert nor pass over. */
async function insertThroughTemporaryTable(
  client: PoolClient,
  columns: readonly Column[],
  records: Buffer,
  onConflict: string,
): Promise<void> {
  const names = namesOf(columns);
  await client.query('begin');
  await client.query(`create temporary table incoming (${definitionOf(columns)}) on commit drop`);
  await copy(client, 'incoming', columns, records);
  await client.query(`insert into predictions (${names}) select ${names} from incoming ${onConflict}`);
  await client.query('commit');
}

const namesOf = (columns: readonly Column[]) => columns.map(({ name }) => name).join(', ');
const definitionOf = (columns: readonly Column[]) => columns.map(({ name, type }) => `${name} ${type}`).join(', ');

/** Any error discards the connection: what it was doing is then rolled back, and it cannot spoil the next batch. */
async function withConnection(
  pool: Pool,
  withinMs: number | undefined,
  work: (client: PoolClient) => Promise<void>,
): Promise<void> {
  try {
    await attempt(pool, withinMs, work);
  } catch (error) {
    if (!hasMoved(error)) throw error;
    await attempt(pool, withinMs, work);
  }
}

/**
 * Whether the partition that rows were sent to does not take them, which no constraint has a name for: it was the default,
 * and the partition of their month was made in the same instant. The next statement sees that one.
 */
function hasMoved(error: unknown): boolean {
  const { code, constraint } = error as { code?: string; constraint?: string };
  return code === CHECK_VIOLATION && constraint === undefined;
}

async function attempt(
  pool: Pool,
  withinMs = COPY_TIMEOUT_MS,
  work: (client: PoolClient) => Promise<void>,
): Promise<void> {
  const client = await pool.connect();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${withinMs / 1000} s`)), withinMs);
  });
  try {
    await Promise.race([work(client), late]);
    client.release();
  } catch (error) {
    client.release(true);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function copy(client: PoolClient, table: string, columns: readonly Column[], records: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = client.query(copyFrom(`copy ${table} (${namesOf(columns)}) from stdin with (format binary)`));
    stream.on('error', reject);
    stream.on('finish', resolve);
    stream.write(COPY_HEADER);
    stream.write(records);
    stream.end(COPY_TRAILER);
  });
}
