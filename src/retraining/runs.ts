/** The table of scheduled trainings: one row for each minute that cron names, whichever scheduler comes first. */
import type { Queryable } from '../database/pool.ts';

/** Takes a minute for this scheduler; false when another one has it. */
export async function claimSlot(
  client: Queryable,
  slot: Date,
  { cron, now }: { cron: string; now: Date },
): Promise<boolean> {
  const { rows } = await client.query(
    'insert into retraining (slot, started_at, cron) values ($1, $2, $3) on conflict (slot) do nothing returning slot',
    [slot, now, cron],
  );
  return rows.length === 1;
}

/** The newest minute that any scheduler has seen to, where that was under the same cron fields: others have named other minutes. */
export async function newestSlot(client: Queryable, cron: string): Promise<Date | undefined> {
  const { rows } = await client.query('select slot, cron from retraining order by slot desc limit 1');
  return rows[0]?.cron === cron ? (rows[0].slot as Date) : undefined;
}

export interface MissedRuns {
  slots: readonly Date[];
  cron: string;
  /** Why. */
  detail: string;
  now: Date;
}

/** Records that nothing was trained in these minutes, and returns for how many of them nobody had done so. */
export async function recordMissed(client: Queryable, { slots, cron, detail, now }: MissedRuns): Promise<number> {
  const { rows } = await client.query(
    `insert into retraining (slot, started_at, finished_at, outcome, detail, cron)
     select slot, $2, $2, 'missed', $3, $4 from unnest($1::timestamptz[]) as slot on conflict (slot) do nothing returning slot`,
    [slots, now, detail, cron],
  );
  return rows.length;
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
  outcome: 'promoted' | 'published' | 'held' | 'rejected' | 'unchanged' | 'failed';
  /** The version that was published. */
  pipelineVersion?: string | undefined;
  /** The test of it. */
  gateId?: number | undefined;
  /** Why it was promoted, or not. */
  detail?: string | undefined;
}

export async function finishRun(client: Queryable, slot: Date, { now, ...end }: RunEnd & { now: Date }): Promise<void> {
  const { outcome, pipelineVersion = null, detail = null, gateId = null } = end;
  await client.query(
    'update retraining set finished_at = $6, outcome = $2, pipeline_version = $3, detail = $4, gate_id = $5 where slot = $1',
    [slot, outcome, pipelineVersion, detail, gateId, now],
  );
}
