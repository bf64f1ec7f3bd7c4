/** The table of pipeline versions: what was published, and what was rejected. What is served is in promotions.ts. */
import type { Declaration } from '../contract/features-schema.ts';
import type { GoldenRows } from '../contract/rows.ts';
import { LOCK_KEY } from '../database/advisory-lock.ts';
import type { Queryable } from '../database/pool.ts';
import { RidgelineError } from '../errors.ts';
import { MAX_ARTEFACT_BYTES, sizeProblem } from '../onnx/fence.ts';

/** Also of servers of the version before. */
const REGISTRY_LOCK = 'ridgeline_publish';

/** What a server needs in order to serve a version. */
export interface PipelineArtefact {
  pipelineVersion: string;
  artefact: Uint8Array;
  sha256: string;
  goldenRows: GoldenRows;
  /** As it is stored: any JSON, or null for the shipped one (stored-declaration.ts). */
  declaration: unknown;
  /** As they are stored; null in versions of servers that did not store them (inference/half-widths.ts, explanation.ts). */
  residuals: unknown;
  explanation: unknown;
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
  /** Of its out-of-fold predictions. */
  predictionProfile: object;
  /** Absolute out-of-fold residuals, ascending; of many some are kept. */
  residuals: readonly number[];
  /** What each feature adds to a prediction; null where that is not known exactly. */
  explanation: object | null;
  /** Of the rows that it was trained on, and that it takes. */
  declaration: Declaration;
  trainingRows: TrainingRows;
  /** When the newest labelled row that it has learned from was answered; null where there is none. */
  trainedThrough: Date | null;
}

/** How many rows a version was trained on. */
export interface TrainingRows {
  /** Of the data set that ships, or of a file. */
  shipped: number;
  /** Predictions with their truth. */
  labelled: number;
  /** Left out, as another row had the same features. */
  duplicates: number;
  /** Of the labelled ones, by which they can be found again: when the first and the last were answered, and the last truth arrived. */
  labelled_from?: string;
  labelled_to?: string;
  labels_received_until?: string;
}

/** The file that the rows of a version came from. */
export interface DataFile {
  name: string;
  sha256: string;
  /** Of the file as it is, with those that were not used. */
  rows: number;
  columns: number;
}

/**
 * Whoever publishes, promotes or empties versions does it one after another, from here to the end of the transaction: what is
 * served cannot change meanwhile, and two versions of one second get two names.
 */
export async function lockRegistry(client: Queryable): Promise<void> {
  await client.query(`select pg_advisory_xact_lock(${LOCK_KEY})`, [REGISTRY_LOCK]);
}

export interface InsertOptions {
  now: Date;
  /** Where the training rows came from, if not from the data set that ships. */
  dataFile?: DataFile | undefined;
}

/**
 * Inserts a version named after the time. Must run inside a transaction; the name is unique in it. Throws `bad_artefact` for a
 * declaration that is larger than servers read.
 */
export async function insertPipeline(
  client: Queryable,
  pipeline: NewPipeline,
  { now, dataFile }: InsertOptions,
): Promise<string> {
  await lockRegistry(client);
  // Versions are read back as times, which in a zone with summer time would not always round-trip.
  await client.query("set local time zone 'UTC'");
  // At least a second after the newest version: a name has no finer unit.
  const { rows } = await client.query(
    `insert into ml_pipeline (pipeline_version, artefact, sha256, hyperparameters, metrics, data_sha256, code_sha256,
       golden_rows, feature_profile, declaration, training_rows, data_file, prediction_profile, residuals, explanation,
       created_at, trained_through)
     select to_char(greatest(
              date_trunc('second', $15::timestamptz at time zone 'UTC'),
              max(to_timestamp(pipeline_version, 'YYYY_MM_DD__HH24_MI_SS')::timestamp) + interval '1 second'
            ), 'YYYY_MM_DD__HH24_MI_SS'),
       $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16
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
      pipeline.trainingRows,
      dataFile ?? null,
      pipeline.predictionProfile,
      pipeline.residuals,
      pipeline.explanation,
      now,
      pipeline.trainedThrough,
    ],
  );
  checkDeclarationSize(rows[0]!);
  return rows[0]!.pipeline_version as string;
}

/** As Postgres writes it. 400 features, each with a long description, are half of it; parsing it takes a tenth of a second. */
export const MAX_DECLARATION_BYTES = 1024 * 1024;

/** Throws `bad_artefact` where `declaration_bytes` of a row says that its declaration is too large to be read. */
export function checkDeclarationSize({ declaration_bytes: bytes }: Record<string, unknown>): void {
  if ((bytes as number) <= MAX_DECLARATION_BYTES) return;
  const detail = `The declaration has ${bytes} bytes; ${MAX_DECLARATION_BYTES} are read at most. Declare fewer categories.`;
  throw new RidgelineError('bad_artefact', { detail });
}

/** Limit of the golden rows as text, more than a thousand rows of 400 values, and of an explanation. */
const MAX_GOLDEN_BYTES = 16 * 1024 * 1024;
/** More than are kept, so that it shows where there are more. */
const RESIDUALS_READ = 10_001;

/**
 * The artefact of a version with what is needed to check it, or undefined when there is no such version. Throws
 * `bad_artefact`, and fetches nothing, where one of them is larger than that of any pipeline.
 */
export async function readPipeline(client: Queryable, pipelineVersion: string): Promise<PipelineArtefact | undefined> {
  const { rows } = await client.query(
    `select sha256, octet_length(artefact) as bytes, octet_length(golden_rows::text) as golden_bytes,
       octet_length(declaration::text) as declaration_bytes, octet_length(explanation::text) as explanation_bytes,
       case when octet_length(artefact) <= $2 then artefact end as artefact,
       case when octet_length(golden_rows::text) <= $3 then golden_rows end as golden_rows,
       case when octet_length(declaration::text) <= $4 then declaration end as declaration,
       case when octet_length(explanation::text) <= $3 then explanation end as explanation, residuals[:$5] as residuals
     from ml_pipeline where pipeline_version = $1`,
    [pipelineVersion, MAX_ARTEFACT_BYTES, MAX_GOLDEN_BYTES, MAX_DECLARATION_BYTES, RESIDUALS_READ],
  );
  const row = rows[0];
  if (!row) return undefined;
  if ((row.golden_bytes as number) > MAX_GOLDEN_BYTES) {
    throw new RidgelineError('bad_artefact', { detail: `The golden rows have ${row.golden_bytes} bytes.` });
  }
  if (((row.explanation_bytes as number | null) ?? 0) > MAX_GOLDEN_BYTES) {
    throw new RidgelineError('bad_artefact', { detail: `The explanation has ${row.explanation_bytes} bytes.` });
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
    residuals: row.residuals,
    explanation: row.explanation,
  };
}

/** Records that a server could not serve the version; the first reason stays. */
export async function markRejected(
  client: Queryable,
  pipelineVersion: string,
  { reason, now }: { reason: string; now: Date },
): Promise<void> {
  await client.query(
    `update ml_pipeline set rejected_at = $3, rejected_reason = $2
     where pipeline_version = $1 and rejected_at is null`,
    [pipelineVersion, reason, now],
  );
}

/** What decides whether a version may be promoted. */
export interface PromotableVersion {
  declaration: unknown;
  rejectedReason: string | null;
  /** Whether its artefact is gone. */
  isEmptied: boolean;
  wasPromoted: boolean;
}

/** Undefined where there is no such version. Throws `bad_artefact` for a declaration that is too large to be read. */
export async function promotableVersion(
  client: Queryable,
  pipelineVersion: string,
): Promise<PromotableVersion | undefined> {
  const { rows } = await client.query(
    `select octet_length(declaration::text) as declaration_bytes, rejected_reason, octet_length(artefact) = 0 as is_emptied,
       case when octet_length(declaration::text) <= $2 then declaration end as declaration,
       exists (select from ml_pipeline_promotion where pipeline_version = $1) as was_promoted
     from ml_pipeline where pipeline_version = $1`,
    [pipelineVersion, MAX_DECLARATION_BYTES],
  );
  const [row] = rows;
  if (!row) return undefined;
  checkDeclarationSize(row);
  return {
    declaration: row.declaration,
    rejectedReason: row.rejected_reason as string | null,
    isEmptied: row.is_emptied as boolean,
    wasPromoted: row.was_promoted as boolean,
  };
}
