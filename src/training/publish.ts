/**
 * Publication: the version row, its promotion and the notice to running servers in one transaction, so that the outside
 * sees all of a version or nothing of it. The file in models/ is a cache of the row and is written after the commit.
 */
import { writeArtefact } from '../registry/artefacts.ts';
import { insertPipeline, type NewPipeline, promote, type Queryable } from '../registry/pipeline-versions.ts';

export interface PublishOptions {
  /** Runs its argument in one transaction of the database. */
  transaction: <Result>(work: (client: Queryable) => Promise<Result>) => Promise<Result>;
  modelsDir: string;
  /** Recorded in the history of promotions. */
  promotedBy: string;
  reason: string;
}

export interface Published {
  pipelineVersion: string;
  /** Where the artefact's file is, or why it could not be written; the publication holds all the same. */
  file: { path: string } | { error: unknown };
}

/** Publishes and promotes a trained pipeline. Rejects, with nothing published, when the transaction fails. */
export async function publish(pipeline: NewPipeline, options: PublishOptions): Promise<Published> {
  const { transaction, modelsDir, ...who } = options;
  const pipelineVersion = await transaction(async (client) => {
    const version = await insertPipeline(client, pipeline);
    await promote(client, version, who);
    return version;
  });
  const { artefact, sha256, goldenRows } = pipeline;
  const file = await writeArtefact(modelsDir, { pipelineVersion, artefact, sha256, goldenRows }).then(
    (path) => ({ path }),
    (error: unknown) => ({ error }),
  );
  return { pipelineVersion, file };
}
