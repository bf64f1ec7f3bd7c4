/**
 * Publication: the version row and, unless it stays a challenger, its promotion, the columns for its predictions and the notice
 * to running servers, in one transaction, so that the outside sees all of a version or nothing of it. The file in models/ is
 * written after the commit, and of what was promoted alone: a start without the database must not fall back to a version that
 * nobody chose.
 */

import { type Contract, createContract } from '../contract/contract.ts';
import type { Queryable } from '../database/pool.ts';
import { writeArtefact } from '../registry/artefacts.ts';
import { type GateEntry, type NewGateEntry, recordGate } from '../registry/gate-decisions.ts';
import { type DataFile, insertPipeline, lockRegistry, type NewPipeline } from '../registry/pipeline-versions.ts';
import { holdOnSchedules, newestPromotions, type PromotionEntry, servedVersion } from '../registry/promotions.ts';
import { againBehindLocks } from './behind-locks.ts';
import { promoteWithColumns } from './promote.ts';

export interface PublishOptions {
  /** Runs its argument in one transaction of the database. */
  transaction: <Result>(work: (client: Queryable) => Promise<Result>) => Promise<Result>;
  modelsDir: string;
  /** A schedule promotes nothing while a person has chosen what is served. */
  action?: 'train' | 'schedule';
  /** Recorded in the history of promotions. */
  promotedBy: string;
  reason: string;
  now: Date;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
  /** False publishes a challenger: what is served stays. */
  promotes?: boolean;
  /** Promotes also what refuses requests of today's callers. */
  breaking?: boolean;
  /** Where the training rows came from, if not from the data set that ships. */
  dataFile?: DataFile | undefined;
  /** The test behind the publication, kept with it. */
  gate?: JudgedPublication | undefined;
}

export interface JudgedPublication {
  entry: NewGateEntry;
  /** The newest promotion when the test began: after another one nothing is promoted. */
  promotionId: string | undefined;
  /** The fit that was judged, which is published where nothing is promoted. */
  judged: NewPipeline;
}

export interface Published {
  pipelineVersion: string;
  isPromoted: boolean;
  /** The promotion for which the schedule has not promoted this one. */
  heldBy?: PromotionEntry | undefined;
  /** As it is kept: held, where somebody has changed what is served since the test began. */
  gate: GateEntry | null;
  /** Where the file of a promoted version is, or why it could not be written; the publication holds all the same. */
  file?: WrittenFile;
}

export type WrittenFile = { path: string } | { error: unknown };

/**
 * Publishes a trained pipeline, and promotes it where that is asked for. Rejects, with nothing published, when the transaction
 * fails, and with `breaking_change` where callers of what is served would notice the promotion.
 */
export async function publish(pipeline: NewPipeline, options: PublishOptions): Promise<Published> {
  const {
    transaction,
    modelsDir,
    action = 'train',
    promotedBy,
    reason,
    now,
    shipped,
    promotes = true,
    breaking,
    dataFile,
    gate: test,
  } = options;
  const contract = createContract(pipeline.declaration);
  const published = await againBehindLocks(() =>
    transaction(async (client) => {
      // First, as it waits for other publications: one that was under way may have changed what is served.
      await lockRegistry(client);
      const heldBy = promotes && action === 'schedule' ? await holdOnSchedules(client) : undefined;
      const isOvertaken = promotes && test !== undefined && (await isAnotherServed(client, test));
      const isPromoted = promotes && !heldBy && !isOvertaken;
      const chosen = test && !isPromoted ? test.judged : pipeline;
      const pipelineVersion = await insertPipeline(client, chosen, { now, dataFile });
      const kept = test && promotes && !isPromoted ? heldInstead(test.entry, isOvertaken) : test?.entry;
      const gate = kept ? await recordGate(client, pipelineVersion, kept) : null;
      const promotion = { action, promotedBy, reason, now, contract, shipped, breaking };
      if (isPromoted) await promoteWithColumns(client, pipelineVersion, promotion);
      return { pipelineVersion, isPromoted, heldBy, gate };
    }),
  );
  if (!published.isPromoted) return published;
  const { artefact, sha256, goldenRows, declaration, residuals, explanation } = pipeline;
  const { pipelineVersion } = published;
  const written = { pipelineVersion, artefact, sha256, goldenRows, declaration, residuals, explanation };
  const file = await writeArtefact(modelsDir, written).then(
    (path) => ({ path }),
    (error: unknown) => ({ error }),
  );
  return { ...published, file };
}

/** Somebody has promoted one since the test began, or a server has rejected the champion. */
async function isAnotherServed(client: Queryable, { promotionId, entry }: JudgedPublication): Promise<boolean> {
  const [newest] = await newestPromotions(client, 1);
  if (newest?.promotionId !== promotionId) return true;
  return ((await servedVersion(client)) ?? null) !== entry.champion_version;
}

const heldInstead = (entry: NewGateEntry, isOvertaken: boolean): NewGateEntry => ({
  ...entry,
  decision: 'held',
  reason: isOvertaken ? 'champion_changed' : 'schedules_hold',
});
