/**
 * What is done once a day, at the start and then every 24 hours, so that what grows has an end. Of several services on one
 * database one does it, under an advisory lock; done twice it changes nothing.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createBackoff } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import { withAdvisoryLock } from '../database/advisory-lock.ts';
import { isUnavailable } from '../database/connection-failure.ts';
import { dropOldMonths, monthsBefore } from '../database/old-months.ts';
import { createPool, type Pool, transaction } from '../database/pool.ts';
import { groundTruthMonths } from '../ground-truth/months.ts';
import type { Log } from '../log.ts';
import type { JobCounts } from '../metrics/job-counts.ts';
import { removeOldFigures } from '../monitoring/old-figures.ts';
import { createOutage } from '../outage.ts';
import { predictionMonths } from '../prediction-log/postgres/months.ts';
import { emptyOldArtefacts } from '../registry/old-artefacts.ts';
import { within } from '../within.ts';

export interface DailyOptions {
  databaseUrl: string;
  clock: Clock;
  /** Of predictions, before this month; undefined keeps all. */
  keepMonths: number | undefined;
  jobs: Pick<JobCounts, 'ran'>;
  log: Log;
}

const DAY_MS = 24 * 60 * 60_000;
const ENDS_WITHIN_MS = 500;
const FIRST_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 60 * 60_000;
const LOCK_NOT_AVAILABLE = '55P03';

/** The returned `close` ends it; what is under way is finished by the server, or rolled back. */
export function startDaily({ databaseUrl, clock, keepMonths, jobs, log }: DailyOptions): {
  close: () => Promise<void>;
} {
  const pool = createPool({ url: databaseUrl, onError: () => undefined, max: 1 });
  const stopped = new AbortController();
  const backoff = createBackoff({ firstMs: FIRST_PAUSE_MS, longestMs: LONGEST_PAUSE_MS });
  const outage = createOutage({
    log,
    level: 'warn',
    begins: 'old predictions and artefacts cannot be removed; it is tried again',
    ends: 'old predictions and artefacts are removed again',
  });

  async function removeOld(): Promise<void> {
    const now = clock.now();
    await checkClock(pool, now);
    const emptied = await transaction(pool, (client) => emptyOldArtefacts(client, now));
    if (emptied.length > 0) log.info({ versions: emptied }, 'artefacts that nobody promoted in 90 days are emptied');
    if (keepMonths === undefined) return;
    const onDropped = (dropped: object) => log.info({ ...dropped, keepMonths }, 'old predictions are removed');
    const firstKept = monthsBefore(now, keepMonths);
    await dropOldMonths(pool, { tables: [...predictionMonths, ...groundTruthMonths], firstKept, onDropped });
    await removeOldFigures(pool, firstKept);
  }

  async function everyDay(): Promise<void> {
    while (!stopped.signal.aborted) {
      let pause = DAY_MS;
      try {
        await withAdvisoryLock(databaseUrl, 'ridgeline_daily', { wait: false }, async () => {
          await removeOld();
          jobs.ran('daily', { doneAt: clock.now() });
        });
        backoff.reset();
        outage.end();
      } catch (error) {
        if (!stopped.signal.aborted) jobs.ran('daily', 'failed');
        if (!stopped.signal.aborted && !isAway(error)) outage.begin(error);
        pause = backoff.next();
      }
      await delay(pause, undefined, { signal: stopped.signal, ref: false }).catch(() => undefined);
    }
  }

  void everyDay();
  return {
    async close() {
      stopped.abort();
      // A statement that waits for a lock, of a table that somebody alters, is not waited for.
      await within(ENDS_WITHIN_MS, pool.end(), () => undefined);
    },
  };
}

/** Which is told elsewhere. A lock that is not had in time is not. */
function isAway(error: unknown): boolean {
  return isUnavailable(error) && (error as { code?: string }).code !== LOCK_NOT_AVAILABLE;
}

/** A clock that is years ahead would remove everything. */
async function checkClock(pool: Pool, now: Date): Promise<void> {
  const { rows } = await pool.query('select abs(extract(epoch from now() - $1))::float8 as seconds', [now]);
  if ((rows[0].seconds as number) * 1000 <= DAY_MS) return;
  throw new Error('the clocks of this machine and of PostgreSQL are more than a day apart; set them right');
}
