/** What versions predict: rows and truths of one target say nothing of another. */
import type { Contract } from '../contract/contract.ts';
import type { Queryable } from '../database/pool.ts';

/** The names of the versions that predict what is called so. Those without a declaration of their own predict as the shipped one. */
export async function versionsPredicting(client: Queryable, target: string, shipped: Contract): Promise<Set<string>> {
  const { rows } = await client.query(
    `select pipeline_version from ml_pipeline
     where case when declaration is null then $2 else declaration #>> '{output,name}' end = $1`,
    [target, shipped.declaration.output.name],
  );
  return new Set(rows.map((row) => row.pipeline_version as string));
}
