/**
 * Runs the job of monitoring every minute. Of several services on one database one does it, under an advisory lock; one that is
 * killed in the midst of it leaves nothing half done.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { Contract } from '../contract/contract.ts';
import { withAdvisoryLock } from '../database/advisory-lock.ts';
import { isUnavailable } from '../database/connection-failure.ts';
import { createPool } from '../database/pool.ts';
import type { Log } from '../log.ts';
import type { JobCounts } from '../metrics/job-counts.ts';
import { runHourly, runMinutely } from '../monitoring/job.ts';
import { createOutage } from '../outage.ts';
import { createShadow } from '../retraining/shadow.ts';
import { within } from '../within.ts';

export interface MonitorOptions {
  databaseUrl: string;
  clock: Clock;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
  jobs: Pick<JobCounts, 'ran'>;
  /** Whether a challenger that is proven better takes over. */
  promotes: boolean;
  log: Log;
}

const EVERY_MS = 60_000;
const ENDS_WITHIN_MS = 500;
const LOCK = 'ridgeline_monitoring';

/** The returned `close` ends it; what is under way is finished by the server, or rolled back. */
export function startMonitoring({ databaseUrl, clock, shipped, jobs, promotes, log }: MonitorOptions): {
  close: () => Promise<void>;
} {
  const pool = createPool({ url: databaseUrl, onError: () => undefined, max: 1 });
  const stopped = new AbortController();
  const context = { pool, shipped, log };
  const outage = createOutage({
    log,
    level: 'warn',
    begins: 'what became of predictions cannot be computed; it is tried again every minute',
    ends: 'what became of predictions is computed again',
  });

  const shadow = createShadow({ pool, clock, promotes, signal: stopped.signal, jobs, log });

  async function run(job: 'monitoring_minutely' | 'monitoring_hourly', work: () => Promise<unknown>): Promise<void> {
    try {
      if ((await work()) !== false) jobs.ran(job, { doneAt: clock.now() });
    } catch (error) {
      if (stopped.signal.aborted) return;
      jobs.ran(job, 'failed');
      throw error;
    }
  }

  async function once(): Promise<void> {
    await run('monitoring_minutely', () => runMinutely(context, clock.now()));
    await run('monitoring_hourly', () => runHourly(context, clock.now()));
    await shadow();
  }

  async function everyMinute(): Promise<void> {
    while (!stopped.signal.aborted) {
      try {
        await withAdvisoryLock(databaseUrl, LOCK, { wait: false }, once);
        outage.end();
      } catch (error) {
        // That the database is away is told elsewhere.
        if (!stopped.signal.aborted && !isUnavailable(error)) outage.begin(error);
      }
      await delay(EVERY_MS, undefined, { signal: stopped.signal, ref: false }).catch(() => undefined);
    }
  }

  void everyMinute();
  return {
    async close() {
      stopped.abort();
      // A statement that waits for a lock, of a table that somebody alters, is not waited for.
      await within(ENDS_WITHIN_MS, pool.end(), () => undefined);
    },
  };
}
