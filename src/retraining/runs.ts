/** The table of scheduled trainings: one row for each minute that cron names, whichever scheduler comes first. */
import type { Queryable } from '../database/pool.ts';

/** Takes a minute for this scheduler; false when another one has it. */
export async function claimSlot(client: Queryable, slot: Date, now: Date): Promise<boolean> {
  const { rows } = await client.query(
    'insert into retraining (slot, started_at) values ($1, $2) on conflict (slot) do nothing returning slot',
    [slot, now],
  );
  return rows.length === 1;
}

/**
 * Ends the runs that no scheduler will end any more: to be called by whoever holds the lock of trainings, as nothing can be under
 * way then. Returns how many there were.
 */
export async function endAbandonedRuns(client: Queryable, now: Date): Promise<number> {
  const { rows } = await client.query(
    `update retraining set finished_at = $1, outcome = 'failed', detail = 'Its scheduler ended before the training did.'
     where finished_at is null returning slot`,
    [now],
  );
  return rows.length;
}

export interface RunEnd {
  outcome: 'promoted' | 'published' | 'held' | 'failed';
  /** The version that was published. */
  pipelineVersion?: string | undefined;
  /** Why it was not promoted. */
  detail?: string;
}

export async function finishRun(client: Queryable, slot: Date, { now, ...end }: RunEnd & { now: Date }): Promise<void> {
  const { outcome, pipelineVersion = null, detail = null } = end;
  await client.query(
    'update retraining set finished_at = $5, outcome = $2, pipeline_version = $3, detail = $4 where slot = $1',
    [slot, outcome, pipelineVersion, detail, now],
  );
}
