/** What a database needs before it can be served from: the schema, and a first pipeline version when there is none. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { Close } from '../closers.ts';
import { withAdvisoryLock } from '../database/advisory-lock.ts';
import { connectionFailure } from '../database/connection-failure.ts';
import { migrate } from '../database/migrate.ts';
import { createPool } from '../database/pool.ts';
import { RidgelineError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { newestPromotions } from '../registry/promotions.ts';

export interface PrepareOptions {
  modelsDir: string;
  clock: Clock;
  onProgress: (message: string) => void;
}

const AGAIN_MS = 2_000;

/**
 * Prepares the database now or, when it is away, as soon as it is there: what is in models/ serves meanwhile. Returns a
 * function that ends the attempts. Throws errors that no waiting mends.
 */
export async function prepareNowOrLater(
  url: string,
  { modelsDir, clock, log }: Omit<PrepareOptions, 'onProgress'> & { log: Log },
): Promise<Close> {
  const prepare = () => prepareDatabase(url, { modelsDir, clock, onProgress: (message) => log.info({}, message) });
  try {
    await prepare();
    return () => undefined;
  } catch (error) {
    if (!(error instanceof RidgelineError && error.code === 'database_unreachable')) throw error;
    log.warn({ reason: error.message }, 'the database cannot be prepared; it is tried again until it can');
  }
  const stopped = new AbortController();
  const trying = (async () => {
    while (true) {
      await delay(AGAIN_MS, undefined, { signal: stopped.signal }).catch(() => undefined);
      if (stopped.signal.aborted) return;
      try {
        await prepare();
        log.info({}, 'the database is prepared');
        return;
      } catch (error) {
        log.debug({ reason: reasonOf(error) }, 'the database still cannot be prepared');
      }
    }
  })();
  return () => {
    stopped.abort();
    return trying;
  };
}

/**
 * Migrates, then trains and publishes a first version if none is served. Several processes at once make one. Whatever
 * connection of it breaks, throws `database_unreachable`; `database_setup` when the server refuses us.
 */
export async function prepareDatabase(url: string, { modelsDir, clock, onProgress }: PrepareOptions): Promise<void> {
  const migrations = await migrate(url);
  if (migrations.length > 0) onProgress(`applied migrations ${migrations.join(', ')}`);
  const pool = createPool({ url, onError: () => undefined, max: 2 });
  try {
    const isPublished = async () => (await newestPromotions(pool, 1)).length > 0;
    if (await isPublished()) return;
    await withAdvisoryLock(url, 'ridgeline_first_version', { wait: true }, async () => {
      if (await isPublished()) return;
      onProgress('training a first pipeline, as there is none');
      // Loaded here, as no other start needs what trains: decision 0010.
      const { publishFirstVersion } = await import('./first-version.ts');
      await publishFirstVersion(pool, { modelsDir, now: clock.now() });
    });
  } catch (error) {
    throw connectionFailure(url, error);
  } finally {
    await pool.end();
  }
}
