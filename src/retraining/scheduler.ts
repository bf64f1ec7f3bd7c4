/** Retraining put together: the schedule, the database it claims its runs in, the command that trains. */
import type { Clock } from '../clock.ts';
import type { Contract } from '../contract/contract.ts';
import { withAdvisoryLock } from '../database/advisory-lock.ts';
import { createPool } from '../database/pool.ts';
import type { Log } from '../log.ts';
import type { JobCounts } from '../metrics/job-counts.ts';
import { trainInChildProcess } from './child-training.ts';
import { startRetraining } from './retraining.ts';

export interface SchedulerOptions {
  cron: string;
  databaseUrl: string;
  /** The contract of the rows that ship. */
  shipped: Contract;
  /** What it learns from, and what takes over. */
  data: 'labelled' | 'shipped';
  promote: 'gate' | 'always' | 'never';
  clock: Clock;
  /** Where runs are counted, if anywhere. */
  jobs?: Pick<JobCounts, 'ran'>;
  log: Log;
}

export function startScheduler({ cron, databaseUrl, shipped, data, promote, clock, jobs, log }: SchedulerOptions): {
  close: () => Promise<void>;
} {
  const pool = createPool({ url: databaseUrl, onError: () => undefined, max: 1 });
  const retraining = startRetraining({
    cron,
    database: pool,
    shipped,
    data,
    exclusively: (work) => withAdvisoryLock(databaseUrl, 'ridgeline_retraining', { wait: false }, work),
    train: trainInChildProcess([...(data === 'labelled' ? ['--labelled'] : []), '--promote', promote]),
    clock,
    jobs,
    log,
  });
  return {
    async close() {
      await retraining.close();
      await pool.end();
    },
  };
}
