/** How often the jobs of a process have run, and when each was done last. */
import type { Samples } from './samples.ts';

const JOBS = ['monitoring_minutely', 'monitoring_hourly', 'daily', 'retraining', 'challengers'] as const;

export type Job = (typeof JOBS)[number];

export interface JobCounts {
  /** A run that was done, at that time, or that failed. */
  ran(job: Job, result: { doneAt: Date } | 'failed'): void;
  samples(): Samples;
}

export function createJobCounts(): JobCounts {
  // From 0: what Prometheus first sees as 1 has not increased.
  const runs = new Map(JOBS.map((job) => [job, { ok: 0, failed: 0 }]));
  const done = new Map<Job, Date>();
  return {
    ran(job, how) {
      runs.get(job)![how === 'failed' ? how : 'ok']++;
      if (how !== 'failed') done.set(job, how.doneAt);
    },
    samples: () => ({
      ridgeline_job_runs_total: Array.from(runs).flatMap(([job, { ok, failed }]) => [
        [[job, 'ok'], ok] as const,
        [[job, 'failed'], failed] as const,
      ]),
      ridgeline_job_last_success_timestamp_seconds: Array.from(
        done,
        ([job, at]) => [[job], at.getTime() / 1000] as const,
      ),
    }),
  };
}
