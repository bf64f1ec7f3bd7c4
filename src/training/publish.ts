/**
 * Publication: the version row, its promotion, the columns for its predictions and the notice to running servers in one
 * transaction, so that the outside sees all of a version or nothing of it. The file in models/ is a cache of the row and is
 * written after the commit.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Contract, createContract } from '../contract/contract.ts';
import { RidgelineError } from '../errors.ts';
import { ensureFeatureColumns } from '../prediction-log/postgres/feature-columns.ts';
import { writeArtefact } from '../registry/artefacts.ts';
import { insertPipeline, type NewPipeline, promote, type Queryable } from '../registry/pipeline-versions.ts';
import { changesForCallers, refuseBreaking } from './contract-changes.ts';

/** A lock is held by another session for too long, or each of two sessions waits for the other's. */
const BEHIND_LOCKS = ['55P03', '40P01'];
/** Each waits two seconds for the lock. */
const TRIES = 10;
const AGAIN_MS = 1_000;
const LOCKED =
  'Another session holds a lock on the table predictions, see pg_stat_activity: end its transaction, and publish again.';

export interface PublishOptions {
  /** Runs its argument in one transaction of the database. */
  transaction: <Result>(work: (client: Queryable) => Promise<Result>) => Promise<Result>;
  modelsDir: string;
  /** Recorded in the history of promotions. */
  promotedBy: string;
  reason: string;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
  /** Publishes also what refuses requests of today's callers. */
  breaking?: boolean;
}

export interface Published {
  pipelineVersion: string;
  /** Where the artefact's file is, or why it could not be written; the publication holds all the same. */
  file: { path: string } | { error: unknown };
}

/**
 * Publishes and promotes a trained pipeline. Rejects, with nothing published, when the transaction fails, and with
 * `breaking_change` where callers of what is served would notice.
 */
export async function publish(pipeline: NewPipeline, options: PublishOptions): Promise<Published> {
  const { transaction, modelsDir, promotedBy, reason, shipped, breaking = false } = options;
  const contract = createContract(pipeline.declaration);
  const pipelineVersion = await againBehindLocks(() =>
    transaction(async (client) => {
      // First, as it waits for other publications: one that was under way may have changed what is served.
      const version = await insertPipeline(client, pipeline);
      const { served, ...changes } = await changesForCallers(client, { contract, shipped });
      if (!breaking) refuseBreaking(changes);
      await promote(client, version, { promotedBy, reason });
      // Last, as whoever stores predictions waits for it.
      await ensureFeatureColumns(client, contract, [shipped, ...served]);
      return version;
    }),
  );
  const { artefact, sha256, goldenRows, declaration } = pipeline;
  const written = { pipelineVersion, artefact, sha256, goldenRows, declaration };
  const file = await writeArtefact(modelsDir, written).then(
    (path) => ({ path }),
    (error: unknown) => ({ error }),
  );
  return { pipelineVersion, file };
}

/**
 * Tries again where another session holds a lock for longer than may be waited for: whoever stores predictions would wait
 * behind us.
 */
async function againBehindLocks<Result>(attempt: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (cause) {
      if (!BEHIND_LOCKS.includes((cause as { code?: string }).code ?? '')) throw cause;
      if (tries < TRIES) await delay(AGAIN_MS);
      else throw new RidgelineError('database_setup', { detail: LOCKED, cause });
    }
  }
}
