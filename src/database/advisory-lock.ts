/** Advisory locks of Postgres: held by a connection, freed by its end, whatever ends it. */
import { createClient } from './pool.ts';

/**
 * Runs `work` while holding the named lock. When another session holds it, waits for it (`wait`) or returns undefined
 * at once. The connection is the lock: if it breaks, `work` goes on but no longer alone.
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
    await client.query('set statement_timeout = 0');
    const call = wait ? 'pg_advisory_lock(hashtext($1))' : 'pg_try_advisory_lock(hashtext($1)) as taken';
    const { rows } = await client.query(`select ${call}`, [name]);
    if (!wait && !rows[0].taken) return undefined;
    return await work();
  } finally {
    await client.end();
  }
}
