/** How often the jobs of a process have run, and when each was done last. */
import type { Samples } from './samples.ts';

export type Job = 'monitoring_minutely' | 'monitoring_hourly' | 'daily' | 'retraining';

export interface JobCounts {
  /** A run that was done, at that time, or that failed. */
  ran(job: Job, result: { doneAt: Date } | 'failed'): void;
  samples(): Samples;
}

export function createJobCounts(): JobCounts {
  const runs = new Map<string, { job: Job; result: 'ok' | 'failed'; runs: number }>();
  const done = new Map<Job, Date>();
  return {
    ran(job, how) {
      const result = how === 'failed' ? how : 'ok';
      const key = `${job} ${result}`;
      runs.set(key, { job, result, runs: (runs.get(key)?.runs ?? 0) + 1 });
      if (how !== 'failed') done.set(job, how.doneAt);
    },
    samples: () => ({
      ridgeline_job_runs_total: Array.from(runs.values(), (one) => [[one.job, one.result], one.runs] as const),
      ridgeline_job_last_success_timestamp_seconds: Array.from(
        done,
        ([job, at]) => [[job], at.getTime() / 1000] as const,
      ),
    }),
  };
}
