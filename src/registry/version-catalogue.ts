/** What operators are told of pipeline versions, in the form in which the admin routes and the commands give it out. */

import type { Declaration } from '../contract/features-schema.ts';
import type { Queryable } from '../database/pool.ts';
import { type GateEntry, gatesOf, NEWEST_DECISIONS } from './gate-decisions.ts';
import { checkDeclarationSize, type DataFile, MAX_DECLARATION_BYTES } from './pipeline-versions.ts';
import { type PromotionEntry, promotionsOf } from './promotions.ts';

/**
 * champion: promoted last, of those that no server has rejected. challenger: of those that were never promoted, nor found worse
 * by the gate, the two newest, while they are new. rejected: a server refused its artefact. retired: any other.
 */
export type Role = 'champion' | 'challenger' | 'retired' | 'rejected';

export interface VersionSummary {
  version: string;
  role: Role;
  created_at: string;
  /** The last time. */
  promoted_at: string | null;
  metrics: Record<string, number>;
  training_rows: { [Kind in 'shipped' | 'labelled' | 'duplicates']: number | null };
  rejected_reason: string | null;
}

export interface VersionPage {
  /** The newest first. */
  pipelines: VersionSummary[];
  /** Where the next page begins: what to ask for `before`. */
  next: string | null;
}

export interface VersionDetails extends VersionSummary {
  /** As it is stored, or the shipped one: of a later version of Ridgeline it may say more. */
  declaration: Record<string, unknown>;
  hyperparameters: Record<string, unknown>;
  sha256: string;
  /** Up to when labelled rows were learned from. */
  trained_through: string | null;
  data_file: DataFile | null;
  /** Its tests against what was served, the newest first. */
  gates: GateEntry[];
  promotions: PromotionEntry[];
}

const CHALLENGERS = 2;
const DAYS_OF_A_CHALLENGER = 30;
/** Of a version, in its details: promotions, and tests. */
const NEWEST = 50;

/** What both queries begin with; $1 is the time. Servers of the version before stored no `training_rows`. */
const ROLES = `
  with promoted as (
    select pipeline_version, max(promotion_id) as promotion_id, max(promoted_at) as promoted_at
    from ml_pipeline_promotion group by pipeline_version
  ), judged as (${NEWEST_DECISIONS}
  ), candidates as (
    select ml_pipeline.*, promotion_id, promoted_at,
      rejected_at is null and promotion_id is null and newest_decision is distinct from 'rejected' as is_open
    from ml_pipeline left join promoted using (pipeline_version) left join judged using (pipeline_version)
  ), roles as (
    select pipeline_version, promoted_at,
      case
        when rejected_at is not null then 'rejected'
        when promotion_id = max(promotion_id) filter (where rejected_at is null) over () then 'champion'
        when is_open and created_at > $1::timestamptz - interval '${DAYS_OF_A_CHALLENGER} days'
          and row_number() over (partition by is_open order by pipeline_version desc) <= ${CHALLENGERS} then 'challenger'
        else 'retired'
      end as role
    from candidates
  )`;
const SUMMARY = `pipeline_version, role, created_at, promoted_at, metrics, rejected_reason,
  jsonb_build_object(
    'shipped', case when training_rows is null then metrics -> 'rows' else training_rows -> 'shipped' end,
    'labelled', coalesce(training_rows -> 'labelled', '0'), 'duplicates', coalesce(training_rows -> 'duplicates', '0')
  ) as training_rows`;

export interface PageOptions {
  limit: number;
  /** Only versions that are older than this one. */
  before?: string | undefined;
  now: Date;
}

export async function listVersions(client: Queryable, { limit, before, now }: PageOptions): Promise<VersionPage> {
  const { rows } = await client.query(
    `${ROLES} select ${SUMMARY} from roles join ml_pipeline using (pipeline_version)
     where $2::text is null or pipeline_version < $2 order by pipeline_version desc limit $3`,
    [now, before ?? null, limit + 1],
  );
  const pipelines = rows.slice(0, limit).map(toSummary);
  return { pipelines, next: rows.length > limit ? pipelines.at(-1)!.version : null };
}

/** What each version of a page predicts; `shipped` is that of versions without a declaration of their own. */
export async function targetsOf(
  client: Queryable,
  { pipelines }: VersionPage,
  shipped: string,
): Promise<Map<string, string>> {
  const { rows } = await client.query(
    `select pipeline_version, case when declaration is null then $2 else declaration #>> '{output,name}' end as target
     from ml_pipeline where pipeline_version = any($1::text[])`,
    [pipelines.map(({ version }) => version), shipped],
  );
  return new Map(rows.map(({ pipeline_version, target }) => [pipeline_version as string, (target ?? '-') as string]));
}

/** What a version is to those who look at its quality. */
export interface VersionStanding {
  version: string;
  role: Role;
  /** In cross-validation: what to hold its errors in the field against. */
  cv_rmse: number | null;
}

/** The versions that are challengers, the newest first. */
export async function challengers(client: Queryable, now: Date): Promise<string[]> {
  const { rows } = await client.query(
    `${ROLES} select pipeline_version from roles where role = 'challenger' order by pipeline_version desc`,
    [now],
  );
  return rows.map((row) => row.pipeline_version as string);
}

/** Of these versions those that are there, the one that was served last first; those that never were come last, the newest first. */
export async function standingsOf(
  client: Queryable,
  versions: readonly string[],
  now: Date,
): Promise<VersionStanding[]> {
  const { rows } = await client.query(
    `${ROLES} select pipeline_version as version, role, (metrics ->> 'cv_rmse')::float8 as cv_rmse
     from roles join ml_pipeline using (pipeline_version) left join promoted using (pipeline_version)
     where pipeline_version = any($2::text[]) order by promotion_id desc nulls last, pipeline_version desc`,
    [now, versions],
  );
  return rows as unknown as VersionStanding[];
}

export interface DetailsOptions {
  /** Of versions without a declaration of their own. */
  shipped: Declaration;
  now: Date;
}

/** Undefined where there is no such version. Throws `bad_artefact` for a declaration that is too large to be read. */
export async function findVersion(
  client: Queryable,
  pipelineVersion: string,
  { shipped, now }: DetailsOptions,
): Promise<VersionDetails | undefined> {
  const { rows } = await client.query(
    `${ROLES} select ${SUMMARY}, hyperparameters, sha256, data_file, trained_through, octet_length(declaration::text) as declaration_bytes,
       case when octet_length(declaration::text) <= $3 then declaration end as declaration
     from roles join ml_pipeline using (pipeline_version) where pipeline_version = $2`,
    [now, pipelineVersion, MAX_DECLARATION_BYTES],
  );
  const [row] = rows;
  if (!row) return undefined;
  checkDeclarationSize(row);
  return {
    ...toSummary(row),
    declaration: (row.declaration ?? shipped) as VersionDetails['declaration'],
    hyperparameters: row.hyperparameters as VersionDetails['hyperparameters'],
    sha256: row.sha256 as string,
    trained_through: (row.trained_through as Date | null)?.toISOString() ?? null,
    data_file: row.data_file as DataFile | null,
    gates: await gatesOf(client, pipelineVersion, NEWEST),
    promotions: await promotionsOf(client, pipelineVersion, NEWEST),
  };
}

function toSummary(row: Record<string, unknown>): VersionSummary {
  return {
    version: row.pipeline_version as string,
    role: row.role as Role,
    created_at: (row.created_at as Date).toISOString(),
    promoted_at: (row.promoted_at as Date | null)?.toISOString() ?? null,
    metrics: row.metrics as VersionSummary['metrics'],
    training_rows: row.training_rows as VersionSummary['training_rows'],
    rejected_reason: row.rejected_reason as string | null,
  };
}
