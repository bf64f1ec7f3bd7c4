/** The tables of pipeline versions and of promotions: what was published, what is served, what was rejected. */
import type { Declaration } from '../contract/declaration.ts';
import type { GoldenRows } from '../contract/rows.ts';
import { LOCK_KEY } from '../database/advisory-lock.ts';
import { RidgelineError } from '../errors.ts';
import { MAX_ARTEFACT_BYTES, sizeProblem } from '../onnx/fence.ts';

/** The slice of a Postgres client that this file uses. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
}

/** The channel on which a promotion is announced; the payload is the version. Only a hint: the truth is the table. */
export const PROMOTION_CHANNEL = 'ridgeline_promotion';

/** Who promotes the version that a start gives to an empty database. */
export const BY_START = 'start';

/** Serialises publications, so that two in one second get two versions. */
const PUBLISH_LOCK = 'ridgeline_publish';

/** What a server needs in order to serve a version. */
export interface PipelineArtefact {
  pipelineVersion: string;
  artefact: Uint8Array;
  sha256: string;
  goldenRows: GoldenRows;
  /** As it is stored: any JSON, or null for the shipped one (stored-declaration.ts). */
  declaration: unknown;
}

/** What a training leaves behind, ready to be published. */
export interface NewPipeline {
  artefact: Uint8Array;
  sha256: string;
  hyperparameters: Record<string, number>;
  metrics: Record<string, number>;
  dataSha256: string;
  codeSha256: string;
  goldenRows: GoldenRows;
  featureProfile: object;
  /** Of the rows that it was trained on, and that it takes. */
  declaration: Declaration;
}

/**
 * Inserts a version named after the database's clock. Must run inside a transaction; the name is unique in it. Throws
 * `bad_artefact` for a declaration that is larger than servers read.
 */
export async function insertPipeline(client: Queryable, pipeline: NewPipeline): Promise<string> {
  await client.query(`select pg_advisory_xact_lock(${LOCK_KEY})`, [PUBLISH_LOCK]);
  // Versions are read back as times, which in a zone with summer time would not always round-trip.
  await client.query("set local time zone 'UTC'");
  // At least a second after the newest version: a name has no finer unit.
  const { rows } = await client.query(
    `insert into ml_pipeline (pipeline_version, artefact, sha256, hyperparameters, metrics, data_sha256, code_sha256,
       golden_rows, feature_profile, declaration)
     select to_char(greatest(
              date_trunc('second', clock_timestamp() at time zone 'UTC'),
              max(to_timestamp(pipeline_version, 'YYYY_MM_DD__HH24_MI_SS')::timestamp) + interval '1 second'
            ), 'YYYY_MM_DD__HH24_MI_SS'),
       $1, $2, $3, $4, $5, $6, $7, $8, $9
     from ml_pipeline
     returning pipeline_version, octet_length(declaration::text) as declaration_bytes`,
    [
      pipeline.artefact,
      pipeline.sha256,
      pipeline.hyperparameters,
      pipeline.metrics,
      pipeline.dataSha256,
      pipeline.codeSha256,
      pipeline.goldenRows,
      pipeline.featureProfile,
      pipeline.declaration,
    ],
  );
  checkDeclarationSize(rows[0]!);
  return rows[0]!.pipeline_version as string;
}

/** Makes a version the served one and announces it; both take effect when the caller's transaction commits. */
export async function promote(
  client: Queryable,
  pipelineVersion: string,
  { promotedBy, reason }: { promotedBy: string; reason: string },
): Promise<void> {
  await client.query('insert into ml_pipeline_promotion (pipeline_version, promoted_by, reason) values ($1, $2, $3)', [
    pipelineVersion,
    promotedBy,
    reason,
  ]);
  await client.query('select pg_notify($1, $2)', [PROMOTION_CHANNEL, pipelineVersion]);
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

/** As Postgres writes it. 400 features, each with a long description, are half of it; parsing it takes a tenth of a second. */
const MAX_DECLARATION_BYTES = 1024 * 1024;

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

function checkDeclarationSize({ declaration_bytes: bytes }: Record<string, unknown>): void {
  if ((bytes as number) <= MAX_DECLARATION_BYTES) return;
  const detail = `The declaration has ${bytes} bytes; ${MAX_DECLARATION_BYTES} are read at most. Declare fewer categories.`;
  throw new RidgelineError('bad_artefact', { detail });
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

/** Limit of the golden rows as text: more than a thousand rows of 400 values. */
const MAX_GOLDEN_BYTES = 16 * 1024 * 1024;

/**
 * The artefact of a version with what is needed to check it, or undefined when there is no such version. Throws
 * `bad_artefact`, and fetches nothing, where one of them is larger than that of any pipeline.
 */
export async function readPipeline(client: Queryable, pipelineVersion: string): Promise<PipelineArtefact | undefined> {
  const { rows } = await client.query(
    `select sha256, octet_length(artefact) as bytes, octet_length(golden_rows::text) as golden_bytes,
       octet_length(declaration::text) as declaration_bytes,
       case when octet_length(artefact) <= $2 then artefact end as artefact,
       case when octet_length(golden_rows::text) <= $3 then golden_rows end as golden_rows,
       case when octet_length(declaration::text) <= $4 then declaration end as declaration
     from ml_pipeline where pipeline_version = $1`,
    [pipelineVersion, MAX_ARTEFACT_BYTES, MAX_GOLDEN_BYTES, MAX_DECLARATION_BYTES],
  );
  const row = rows[0];
  if (!row) return undefined;
  if ((row.golden_bytes as number) > MAX_GOLDEN_BYTES) {
    throw new RidgelineError('bad_artefact', { detail: `The golden rows have ${row.golden_bytes} bytes.` });
  }
  checkDeclarationSize(row);
  const problem = sizeProblem(row.bytes as number);
  if (problem) throw new RidgelineError('bad_artefact', { detail: problem });
  return {
    pipelineVersion,
    artefact: row.artefact as Uint8Array,
    sha256: row.sha256 as string,
    goldenRows: row.golden_rows as GoldenRows,
    declaration: row.declaration,
  };
}

/** Records that a server could not serve the version; the first reason stays. */
export async function markRejected(client: Queryable, pipelineVersion: string, reason: string): Promise<void> {
  await client.query(
    `update ml_pipeline set rejected_at = now(), rejected_reason = $2
     where pipeline_version = $1 and rejected_at is null`,
    [pipelineVersion, reason],
  );
}
