/** The database as commands use it: brought up to date, one connection, closed at the end or by a signal. */
import type { Config } from '../src/config.ts';
import { migrate } from '../src/database/migrate.ts';
import { createPool, type Pool } from '../src/database/pool.ts';
import { withDatabase } from '../src/process/open-database.ts';

/** For a lock that another session holds on what has to be changed. */
const RETRY_FOR_MS = 60_000;

export function withPool<Result>(config: Config, work: (pool: Pool) => Promise<Result>): Promise<Result> {
  return withDatabase(config, async ({ url }) => {
    await migrate(url, { retryForMs: RETRY_FOR_MS });
    const pool = createPool({ url, onError: () => undefined, max: 1 });
    return await work(pool).finally(() => pool.end());
  });
}
