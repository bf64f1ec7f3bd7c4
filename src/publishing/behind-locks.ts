/** Transactions that change the table of predictions, beside sessions that hold locks on it. */
import { setTimeout as delay } from 'node:timers/promises';
import { RidgelineError } from '../errors.ts';

/** A lock is held by another session for too long, or each of two sessions waits for the other's. */
const BEHIND_LOCKS = ['55P03', '40P01'];
/** Each waits two seconds for the lock. */
const TRIES = 10;
const AGAIN_MS = 1_000;
const LOCKED =
  'Another session holds a lock on the table predictions, see pg_stat_activity: end its transaction, and try again.';

/**
 * Tries again where another session holds a lock for longer than may be waited for: whoever stores predictions would wait
 * behind us. Throws `database_setup` in the end.
 */
export async function againBehindLocks<Result>(attempt: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (cause) {
      if (!BEHIND_LOCKS.includes((cause as { code?: string }).code ?? '')) throw cause;
      if (tries < TRIES) await delay(AGAIN_MS);
      else throw new RidgelineError('database_setup', { detail: LOCKED, cause });
    }
  }
}
