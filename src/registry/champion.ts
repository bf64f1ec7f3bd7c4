/** The served version as one that has to be beaten: what it answers with, and what it has learned from. */
import type { Contract } from '../contract/contract.ts';
import type { Queryable } from '../database/pool.ts';
import { checkSha256 } from './artefacts.ts';
import { readPipeline } from './pipeline-versions.ts';
import { servedVersion } from './promotions.ts';
import { contractOfStored } from './stored-declaration.ts';

export interface Champion {
  pipelineVersion: string;
  contract: Contract;
  artefact: Uint8Array;
  sha256: string;
  dataSha256: string;
  /** In cross-validation; null where it is not known. */
  cvRmse: number | null;
  trainedThrough: Date | null;
}

/** Undefined where nothing is served. Throws `bad_artefact` for one that cannot be read here, as of a later Ridgeline. */
export async function readChampion(client: Queryable, shipped: Contract): Promise<Champion | undefined> {
  const pipelineVersion = await servedVersion(client);
  if (pipelineVersion === undefined) return undefined;
  const pipeline = (await readPipeline(client, pipelineVersion))!;
  checkSha256(pipeline);
  const { rows } = await client.query(
    `select data_sha256, (metrics ->> 'cv_rmse')::float8 as cv_rmse, trained_through
     from ml_pipeline where pipeline_version = $1`,
    [pipelineVersion],
  );
  const [row] = rows;
  return {
    pipelineVersion,
    contract: contractOfStored(pipeline.declaration, shipped),
    artefact: pipeline.artefact,
    sha256: pipeline.sha256,
    dataSha256: row!.data_sha256 as string,
    cvRmse: row!.cv_rmse as number | null,
    trainedThrough: row!.trained_through as Date | null,
  };
}

/** Where the rows of the served version came from. */
export interface OriginOfServed {
  /** The name of a file, if from one. */
  file: string | null;
  /** Of the rows that ship, or of the file; null where it is not known. */
  shipped: number | null;
}

/** Undefined where nothing is served. */
export async function originOfServed(client: Queryable): Promise<OriginOfServed | undefined> {
  const { rows } = await client.query(
    `select data_file ->> 'name' as file, (training_rows ->> 'shipped')::int as shipped
     from ml_pipeline where pipeline_version = $1`,
    [await servedVersion(client)],
  );
  return rows[0] as unknown as OriginOfServed | undefined;
}

/** Up to when the served version has learned from labelled rows; null where it has not, and where nothing is served. */
export async function trainedThroughOfServed(client: Queryable): Promise<Date | null> {
  const { rows } = await client.query('select trained_through from ml_pipeline where pipeline_version = $1', [
    await servedVersion(client),
  ]);
  return (rows[0]?.trained_through as Date | null | undefined) ?? null;
}
