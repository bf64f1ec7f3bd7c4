/** Advisory locks of Postgres: held by a connection, freed by its end, whatever ends it. */
import { createClient } from './pool.ts';

/** The longest wait for a lock: its holder may be frozen. */
const LOCK_TIMEOUT = '30s';

/**
 * The key of the lock whose name is the statement's first parameter, in SQL. Two installations in one database have
 * locks of their own, as each has a schema of its own. In `public` the name alone is the key, as it was everywhere
 * before: a server of that version may run beside us.
 */
export const LOCK_KEY = "hashtext(case current_schema() when 'public' then $1 else current_schema() || '.' || $1 end)";

/**
 * Runs `work` while holding the named lock. When another session holds it, waits for it (`wait`), rejecting with 55P03
 * after 30 s, or returns undefined at once. The connection is the lock: if it breaks, `work` goes on but no longer alone.
 */
export async function withAdvisoryLock<Result>(
  url: string,
  name: string,
  { wait }: { wait: boolean },
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  const client = createClient(url);
  client.on('error', () => undefined);
  await client.connect();
  try {
    // Waiting is the point here, so the connection's usual limit on statements does not apply.
    await client.query(`set statement_timeout = 0; set lock_timeout = '${LOCK_TIMEOUT}'`);
    const call = wait ? `pg_advisory_lock(${LOCK_KEY})` : `pg_try_advisory_lock(${LOCK_KEY}) as taken`;
    const { rows } = await client.query(`select ${call}`, [name]);
    if (!wait && !rows[0].taken) return undefined;
    return await work();
  } finally {
    await client.end();
  }
}
