/** Bulk writes to `predictions` with COPY, the fastest way into Postgres. */
import { from as copyFrom } from 'pg-copy-streams';
import type { Pool, PoolClient } from './pool.ts';

/** A batch that takes longer is given up and tried again; its rows cannot arrive twice. */
const COPY_TIMEOUT_MS = 30_000;

/** SQLSTATE classes that blame the content: 22 data exception, 23 integrity constraint violation. */
const REFUSED = /^2[23]/;
const UNIQUE_VIOLATION = '23505';

export interface PoolPredictionStore {
  /** Adds all rows of the COPY text payload or none. */
  insert(columns: readonly string[], payload: Buffer): Promise<void>;
  /** Adds the rows whose key is not there yet, by way of a temporary table, as COPY itself cannot pass over a row. */
  insertMissing(columns: readonly string[], payload: Buffer): Promise<void>;
  failureOf(error: unknown): 'duplicate' | 'refused' | 'unavailable';
}

export function createPredictionStore(pool: Pool): PoolPredictionStore {
  return {
    insert: (columns, payload) =>
      withConnection(pool, (client) => copy(client, `copy predictions (${columns.join(', ')}) from stdin`, payload)),
    insertMissing: (columns, payload) =>
      withConnection(pool, async (client) => {
        const list = columns.join(', ');
        await client.query('begin');
        await client.query('create temporary table incoming (like predictions) on commit drop');
        await copy(client, `copy incoming (${list}) from stdin`, payload);
        await client.query(
          `insert into predictions (${list}) select ${list} from incoming on conflict (id, created_at) do nothing`,
        );
        await client.query('commit');
      }),
    failureOf(error) {
      const code = (error as { code?: string }).code ?? '';
      if (code === UNIQUE_VIOLATION) return 'duplicate';
      return REFUSED.test(code) ? 'refused' : 'unavailable';
    },
  };
}

/** Any error discards the connection: what it was doing is then rolled back, and it cannot spoil the next batch. */
async function withConnection(pool: Pool, work: (client: PoolClient) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${COPY_TIMEOUT_MS / 1000} s`)), COPY_TIMEOUT_MS);
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

function copy(client: PoolClient, statement: string, payload: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = client.query(copyFrom(statement));
    stream.on('error', reject);
    stream.on('finish', resolve);
    stream.end(payload);
  });
}
