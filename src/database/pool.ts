/** Connections to Postgres: this folder imports `pg`, the others use the functions below. */
import { Client, escapeIdentifier, escapeLiteral, Pool, type PoolClient, type PoolConfig } from 'pg';
import { normaliseDatabaseUrl } from '../database-url.ts';
import { RidgelineError } from '../errors.ts';

export type { Client, Pool, PoolClient };
export { escapeIdentifier, escapeLiteral };

/** What of a pool or of a client those need who send it statements: tests hand in others. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
}

/** Bounds of statements and connecting. No caller waits for the database, so they concern background work only. */
const CONNECT_TIMEOUT_MS = 3_000;
const STATEMENT_TIMEOUT_MS = 15_000;
const IDLE_IN_TRANSACTION_MS = 60_000;

/** The oldest major version that is still maintained. */
const OLDEST_POSTGRES = 15;

/** Told once a connection is there: PgBouncer refuses connections that bring such limits with them. */
const LIMITS = `set_config('statement_timeout', '${STATEMENT_TIMEOUT_MS}', false),
  set_config('idle_in_transaction_session_timeout', '${IDLE_IN_TRANSACTION_MS}', false)`;

function connectionSettings(url: string): PoolConfig {
  return {
    connectionString: normaliseDatabaseUrl(url),
    application_name: 'ridgeline',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    // The server's limit does not help when the server has gone silent; this one is kept on our side.
    query_timeout: STATEMENT_TIMEOUT_MS + 1_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
}

/**
 * What each connection of a pool is told besides. All that is ours lives in the first schema of the search path: while
 * a migration has yet to make it there, the tables of another installation, in a schema behind it, must not be taken
 * for ours. What a role or a database is set to may not change the meaning of a text, nor take digits from a number.
 */
const SETTLE = `set_config('search_path', quote_ident(current_schema()), false),
  set_config('standard_conforming_strings', 'on', false), set_config('extra_float_digits', '1', false)`;

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
    // The pool awaits this before it lends the connection, though its type does not say so.
    onConnect: (client) => client.query(`select ${LIMITS}, ${SETTLE}`) as unknown as undefined,
  });
  pool.on('error', onError);
  // A connection that breaks while it is checked out fails its query; without a listener it would end the process too.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** A connection outside any pool, for LISTEN and for session locks. The caller adds its `error` listener and ends it. */
export function createClient(url: string): Client {
  const client = new Client(connectionSettings(url));
  const connect: () => Promise<unknown> = client.connect;
  return Object.assign(client, {
    async connect() {
      await connect.call(client);
      await client.query(`select ${LIMITS}`);
    },
  });
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
  if (Number(rows[0].server_version_num) < OLDEST_POSTGRES * 10_000) {
    throw new RidgelineError('database_setup', {
      detail: `PostgreSQL ${Math.floor(rows[0].server_version_num / 10_000)} is too old; point DATABASE_URL at version ${OLDEST_POSTGRES} or newer.`,
    });
  }
}

/** Where the database is, without user or password, for logs and messages: asked of `pg`, which knows PGHOST as well. */
export function describeUrl(url: string): string {
  let client: Client;
  try {
    client = createClient(url);
  } catch {
    return 'DATABASE_URL';
  }
  const { host, port, database = '' } = client;
  return host.startsWith('/') ? `${host}/.s.PGSQL.${port}, database ${database}` : `${host}:${port}/${database}`;
}
