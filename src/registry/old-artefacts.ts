/** The end of artefacts that nobody promoted: their rows stay, as what was tried is worth knowing. */
import type { Queryable } from '../database/pool.ts';
import { lockRegistry } from './pipeline-versions.ts';

const KEPT_DAYS = 90;

/** Empties the artefacts of versions that are older and were never promoted; must run inside a transaction. Returns which. */
export async function emptyOldArtefacts(client: Queryable, now: Date): Promise<string[]> {
  await lockRegistry(client);
  const { rows } = await client.query(
    `update ml_pipeline set artefact = ''
     where octet_length(artefact) > 0 and created_at < $1::timestamptz - interval '${KEPT_DAYS} days'
       and not exists (
         select from ml_pipeline_promotion where ml_pipeline_promotion.pipeline_version = ml_pipeline.pipeline_version
       )
     returning pipeline_version`,
    [now],
  );
  return rows.map((row) => row.pipeline_version as string);
}
