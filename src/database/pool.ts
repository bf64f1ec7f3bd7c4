/** Connections to Postgres. Only this room imports `pg`; the others are handed the functions below. */
import { Client, Pool, type PoolClient, type PoolConfig } from 'pg';
import { RidgelineError, reasonOf } from '../errors.ts';

export type { Client, Pool, PoolClient };

/** What is older than this is given up: no caller waits for the database, so these bound background work only. */
const CONNECT_TIMEOUT_MS = 3_000;
const STATEMENT_TIMEOUT_MS = 15_000;

function connectionSettings(url: string): PoolConfig {
  return {
    connectionString: url,
    application_name: 'ridgeline',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    // The server's limit does not help when the server has gone silent; this one is kept on our side.
    query_timeout: STATEMENT_TIMEOUT_MS + 1_000,
    idle_in_transaction_session_timeout: 60_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
}

/**
 * What each connection is told first. All that is ours lives in the first schema of the search path: while a migration
 * has yet to make it there, the tables of another installation, in a schema behind it, must not be taken for ours.
 */
const SETTLE = `select set_config('search_path', quote_ident(current_schema()), false),
  set_config('standard_conforming_strings', 'on', false)`;

export interface PoolOptions {
  url: string;
  /** Hears of idle connections that break; the pool replaces them by itself. */
  onError: (error: Error) => void;
  max?: number;
}

export function createPool({ url, onError, max = 4 }: PoolOptions): Pool {
  const pool = new Pool({
    ...connectionSettings(url),
    ...{ max, maxLifetimeSeconds: 1800, idleTimeoutMillis: 60_000 },
    // Awaited by the pool before anybody is given the connection, whatever its type says.
    onConnect: (client) => client.query(SETTLE) as unknown as undefined,
  });
  pool.on('error', onError);
  // A connection that breaks while it is checked out fails its query; without a listener it would end the process too.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** A connection outside any pool, for LISTEN and for session locks. The caller adds its `error` listener and ends it. */
export function createClient(url: string): Client {
  return new Client(connectionSettings(url));
}

/** Runs `work` in one transaction and returns its result; any error rolls back and discards the connection. */
export async function transaction<Result>(pool: Pool, work: (client: PoolClient) => Promise<Result>): Promise<Result> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    client.release();
    return result;
  } catch (error) {
    // Closing the connection rolls back, and works where a ROLLBACK would hang: on a connection that has gone silent.
    client.release(true);
    throw error;
  }
}

/** Refuses a server that is too old, with a message that says what is needed. */
export async function checkServerVersion(client: Pick<Client, 'query'>): Promise<void> {
  const { rows } = await client.query('show server_version_num');
  if (Number(rows[0].server_version_num) < 140_000) {
    throw new RidgelineError('database_setup', {
      detail: `PostgreSQL ${rows[0].server_version_num / 10_000} is too old; point DATABASE_URL at version 14 or newer.`,
    });
  }
}

/**
 * Whether an error says that the database cannot be reached now, rather than that the request was wrong: a network
 * error, or an SQLSTATE of class 08 (connection), 53 (resources), 57 (shutdown), 25006 (read only), or 55P03 (a lock that
 * was not to be had in time).
 */
function isUnavailable(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  if (error instanceof AggregateError) return true;
  if (code === undefined) return /timeout|terminated|Connection|not queryable/i.test(message ?? '');
  return /^E[A-Z_]+$|^(08|53|57)|^(25006|55P03)$/.test(code);
}

/** Where the database is, without its password, for logs and messages. */
export function describeUrl(url: string): string {
  const { hostname, port, pathname } = new URL(url);
  return `${hostname || 'local socket'}:${port || 5432}${pathname}`;
}

/** What to tell of a failed attempt to use the server: `database_unreachable` when it may be there later. */
export function connectionFailure(url: string, cause: unknown): RidgelineError {
  if (cause instanceof RidgelineError) return cause;
  return new RidgelineError(isUnavailable(cause) ? 'database_unreachable' : 'database_setup', {
    detail: `PostgreSQL at ${describeUrl(url)}: ${reasonOf(cause)}. Start or mend it, or correct DATABASE_URL.`,
    cause,
  });
}
