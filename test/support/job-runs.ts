import type { JobCounts } from '../../src/metrics/job-counts.ts';

/** How often each job has run, by its name and how it ended, without those that never have. */
export function runsOf(jobs: JobCounts): Record<string, unknown> {
  const runs = jobs.samples().ridgeline_job_runs_total!;
  return Object.fromEntries(
    runs.filter(([, count]) => count !== 0).map(([labels, count]) => [labels.join(' '), count]),
  );
}
