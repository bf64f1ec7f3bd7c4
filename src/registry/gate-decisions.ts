/** The table of tests that versions have passed, or not, against what was served; entries are only added. */
import type { Queryable } from '../database/pool.ts';

/** A test as it is kept, and as operators are told of it. Times are RFC 3339, errors in the unit of the target. */
export interface GateEntry {
  gate_id: number;
  pipeline_version: string;
  champion_version: string | null;
  /** Which test of the version it was, from 1; null where there were too few rows to test. */
  look: number | null;
  decided_at: string;
  n: number;
  holdout_from: string | null;
  holdout_to: string | null;
  champion_rmse: number | null;
  challenger_rmse: number | null;
  mean_difference: number | null;
  t: number | null;
  p_better: number | null;
  p_worse: number | null;
  alpha: number | null;
  decision: 'promoted' | 'held' | 'rejected';
  reason: string;
  decided_by: string;
  /** Of the artefact that was judged: a promoted version may be the same fitted anew on all rows. */
  judged_sha256: string;
}

export type NewGateEntry = Omit<GateEntry, 'gate_id' | 'pipeline_version'>;

const COLUMNS = [
  ...['champion_version', 'look', 'decided_at', 'n', 'holdout_from', 'holdout_to', 'champion_rmse', 'challenger_rmse'],
  ...['mean_difference', 't', 'p_better', 'p_worse', 'alpha', 'decision', 'reason', 'decided_by', 'judged_sha256'],
] as (keyof NewGateEntry)[];

export async function recordGate(client: Queryable, version: string, entry: NewGateEntry): Promise<GateEntry> {
  const { rows } = await client.query(
    `insert into ml_pipeline_gate (pipeline_version, ${COLUMNS.join(', ')})
     values ($1, ${COLUMNS.map((_, i) => `$${i + 2}`).join(', ')}) returning gate_id`,
    [version, ...COLUMNS.map((column) => entry[column])],
  );
  return { gate_id: Number(rows[0]!.gate_id), pipeline_version: version, ...entry };
}

/** The newest of a version, the newest first. */
export async function gatesOf(client: Queryable, version: string, limit: number): Promise<GateEntry[]> {
  const { rows } = await client.query(
    `select gate_id, pipeline_version, ${COLUMNS.join(', ')} from ml_pipeline_gate
     where pipeline_version = $1 order by gate_id desc limit $2`,
    [version, limit],
  );
  return rows.map((row) => {
    const time = (name: string) => (row[name] as Date | null)?.toISOString() ?? null;
    return {
      ...(row as unknown as GateEntry),
      gate_id: Number(row.gate_id),
      decided_at: time('decided_at')!,
      holdout_from: time('holdout_from'),
      holdout_to: time('holdout_to'),
    };
  });
}

/** What was decided last of each version that was ever tested, for a query to join. */
export const NEWEST_DECISIONS = `
  select distinct on (pipeline_version) pipeline_version, decision as newest_decision
  from ml_pipeline_gate order by pipeline_version, gate_id desc`;

/** A version that is held for more truths to come. */
export interface HeldVersion {
  pipelineVersion: string;
  trainedThrough: Date | null;
  /** How many tests it has had, and of how many rows the largest was. */
  looks: number;
  rowsJudged: number;
}

/** Of these versions those that were judged, and are held. */
export async function heldAmong(client: Queryable, versions: readonly string[]): Promise<HeldVersion[]> {
  const { rows } = await client.query(
    `with newest as (${NEWEST_DECISIONS})
     select pipeline_version, trained_through, count(look)::int as looks,
       coalesce(max(n) filter (where look is not null), 0) as rows_judged
     from newest join ml_pipeline_gate using (pipeline_version) join ml_pipeline using (pipeline_version)
     where pipeline_version = any($1::text[]) and newest_decision = 'held'
     group by pipeline_version, trained_through order by pipeline_version`,
    [versions],
  );
  return rows.map((row) => ({
    pipelineVersion: row.pipeline_version as string,
    trainedThrough: row.trained_through as Date | null,
    looks: row.looks as number,
    rowsJudged: row.rows_judged as number,
  }));
}

/** The version of these bytes that is served or held, if there is one: to publish them again would say nothing new. */
export async function servedOrHeldWith(client: Queryable, sha256: string, served: string): Promise<string | undefined> {
  const { rows } = await client.query(
    `with newest as (${NEWEST_DECISIONS})
     select pipeline_version from ml_pipeline left join newest using (pipeline_version)
     where sha256 = $1 and rejected_at is null and octet_length(artefact) > 0
       and (pipeline_version = $2 or newest_decision = 'held')
     order by pipeline_version = $2 desc, pipeline_version desc limit 1`,
    [sha256, served],
  );
  return rows[0]?.pipeline_version as string | undefined;
}
