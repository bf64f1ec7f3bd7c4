/** The table of promotions, to which entries are only added: the version of the newest one is what should be served. */
import type { Queryable } from '../database/pool.ts';
import { checkDeclarationSize, MAX_DECLARATION_BYTES } from './pipeline-versions.ts';

/** The channel on which a promotion is announced; the payload is the version. Only a hint: the truth is the table. */
export const PROMOTION_CHANNEL = 'ridgeline_promotion';

/** Who promotes the version that a start gives to an empty database. */
export const BY_START = 'start';

/** What an entry was made by. `hand` is also what an entry has that was written as plain SQL. */
export type PromotionAction = 'train' | 'schedule' | 'publish' | 'hand' | 'rollback' | 'resume';

export interface NewPromotion {
  action?: PromotionAction;
  promotedBy: string;
  reason: string;
  now: Date;
}

/** An entry as operators are told of it. */
export interface PromotionEntry {
  promotion_id: number;
  version: string;
  /** The version of the entry before. */
  previous: string | null;
  action: PromotionAction;
  promoted_at: string;
  promoted_by: string;
  reason: string;
}

/** Makes a version the served one and announces it; both take effect when the caller's transaction commits. */
export async function promote(
  client: Queryable,
  pipelineVersion: string,
  { action = 'hand', promotedBy, reason, now }: NewPromotion,
): Promise<PromotionEntry> {
  const { rows } = await client.query(
    `insert into ml_pipeline_promotion (pipeline_version, action, promoted_by, reason, promoted_at) values ($1, $2, $3, $4, $5)
     returning promotion_id, pipeline_version as version, action, promoted_at, promoted_by, reason,
       (select pipeline_version from ml_pipeline_promotion order by promotion_id desc limit 1) as previous`,
    [pipelineVersion, action, promotedBy, reason, now],
  );
  await client.query('select pg_notify($1, $2)', [PROMOTION_CHANNEL, pipelineVersion]);
  return toEntry(rows[0]!);
}

/** The newest entries of a version, the newest first. */
export async function promotionsOf(
  client: Queryable,
  pipelineVersion: string,
  limit: number,
): Promise<PromotionEntry[]> {
  const { rows } = await client.query(
    `select * from (
       select promotion_id, pipeline_version as version, action, promoted_at, promoted_by, reason,
         lag(pipeline_version) over (order by promotion_id) as previous
       from ml_pipeline_promotion
     ) as history where version = $1 order by promotion_id desc limit $2`,
    [pipelineVersion, limit],
  );
  return rows.map(toEntry);
}

function toEntry(row: Record<string, unknown>): PromotionEntry {
  return {
    promotion_id: Number(row.promotion_id),
    version: row.version as string,
    previous: row.previous as string | null,
    action: row.action as PromotionAction,
    promoted_at: (row.promoted_at as Date).toISOString(),
    promoted_by: row.promoted_by as string,
    reason: row.reason as string,
  };
}

export interface Promotion {
  /** Grows with every promotion. */
  promotionId: string;
  pipelineVersion: string;
}

/** The newest promotions, the newest first; the first of them is what should be served. */
export async function newestPromotions(client: Queryable, limit: number): Promise<Promotion[]> {
  const { rows } = await client.query(
    'select promotion_id, pipeline_version from ml_pipeline_promotion order by promotion_id desc limit $1',
    [limit],
  );
  return rows.map((row) => ({
    promotionId: row.promotion_id as string,
    pipelineVersion: row.pipeline_version as string,
  }));
}

/** The version that was promoted last, of those that no server has rejected: the one that is served. */
export async function servedVersion(client: Queryable): Promise<string | undefined> {
  const { rows } = await client.query(
    `select pipeline_version from ml_pipeline_promotion join ml_pipeline using (pipeline_version)
     where rejected_at is null order by promotion_id desc limit 1`,
  );
  return rows[0]?.pipeline_version as string | undefined;
}

/**
 * The version to roll back to: the one that served before the present one, was not rejected, and was not left by a roll back
 * since its newest promotion, so that a second roll back goes one further. Undefined where there is none.
 */
export async function versionToRollBackTo(client: Queryable): Promise<string | undefined> {
  const { rows } = await client.query(
    `with history as (
       select promotion_id, pipeline_version, lead(action) over (order by promotion_id) as left_by
       from ml_pipeline_promotion
     ), newest_of_each as (
       select distinct on (pipeline_version) * from history order by pipeline_version, promotion_id desc
     )
     select pipeline_version from newest_of_each join ml_pipeline using (pipeline_version)
     where left_by <> 'rollback' and rejected_at is null
     order by promotion_id desc limit 1`,
  );
  return rows[0]?.pipeline_version as string | undefined;
}

/** The entry for which scheduled trainings hold, if they do: the newest one, where a person has chosen what is served. */
export async function holdOnSchedules(client: Queryable): Promise<PromotionEntry | undefined> {
  const [newest] = await newestPromotions(client, 1);
  if (!newest) return undefined;
  const [entry] = await promotionsOf(client, newest.pipelineVersion, 1);
  return entry && ['hand', 'rollback'].includes(entry.action) ? entry : undefined;
}

/** Who holds scheduled trainings, and what lets them go on. */
export function describeHold({ action, version, promoted_at, promoted_by, reason }: PromotionEntry): string {
  const what = action === 'rollback' ? 'rolled back to' : 'promoted';
  const when = promoted_at.slice(0, 16).replace('T', ' ');
  return (
    `Scheduled trainings hold, as ${promoted_by} has ${what} ${version} (${when} UTC: ${reason}). ` +
    'They go on after npm run pipelines -- resume --reason TEXT.'
  );
}

/** A version that callers may be using now. */
export interface PromotedVersion {
  pipelineVersion: string;
  declaration: unknown;
  /** Whether it is the one that a start gave to an empty database. */
  isFromStart: boolean;
}

/**
 * The version that was promoted last and, where a server has rejected that, the last one that none has: between them servers
 * may be divided. Nothing before the first promotion. Throws `bad_artefact` for a declaration that is too large to be read.
 */
export async function promotedVersions(client: Queryable): Promise<PromotedVersion[]> {
  const { rows } = await client.query(
    `with promoted as (
       select promotion_id, pipeline_version, rejected_at from ml_pipeline_promotion join ml_pipeline using (pipeline_version)
     ), used as (
       (select * from promoted order by promotion_id desc limit 1)
       union
       (select * from promoted where rejected_at is null order by promotion_id desc limit 1)
     )
     select pipeline_version, octet_length(declaration::text) as declaration_bytes,
       case when octet_length(declaration::text) <= $1 then declaration end as declaration,
       exists (
         select from ml_pipeline_promotion as any_of_it
         where any_of_it.pipeline_version = used.pipeline_version and promoted_by = $2
       ) as is_from_start
     from used join ml_pipeline using (pipeline_version) order by promotion_id desc`,
    [MAX_DECLARATION_BYTES, BY_START],
  );
  return rows.map((row) => {
    checkDeclarationSize(row);
    return {
      pipelineVersion: row.pipeline_version as string,
      declaration: row.declaration,
      isFromStart: row.is_from_start as boolean,
    };
  });
}

/** The penalty that the newest promoted version was trained with, or undefined before the first. */
export async function newestAlpha(client: Queryable): Promise<number | undefined> {
  const { rows } = await client.query(
    `select (hyperparameters ->> 'alpha')::float8 as alpha
     from ml_pipeline_promotion join ml_pipeline using (pipeline_version)
     order by promotion_id desc limit 1`,
  );
  return (rows[0]?.alpha as number | null) ?? undefined;
}
