/**
 * What is served, changed by operators: a version promoted by hand, a roll back, or schedules that may go on. Each is one
 * transaction in which nobody else changes what is served, and one more entry of the history; running servers hear of it.
 */

import type { Contract } from '../contract/contract.ts';
import type { Queryable } from '../database/pool.ts';
import { RidgelineError } from '../errors.ts';
import { ensureFeatureColumns } from '../prediction-log/postgres/feature-columns.ts';
import { type GateEntry, type NewGateEntry, recordGate } from '../registry/gate-decisions.ts';
import { lockRegistry, type PromotableVersion, promotableVersion } from '../registry/pipeline-versions.ts';
import {
  holdOnSchedules,
  type NewPromotion,
  newestPromotions,
  type PromotionEntry,
  promote,
  servedVersion,
  versionToRollBackTo,
} from '../registry/promotions.ts';
import { contractOfStored } from '../registry/stored-declaration.ts';
import { againBehindLocks } from './behind-locks.ts';
import { type ContractChange, changesForCallers, refuseBreaking } from './contract-changes.ts';

export interface PromotionOptions extends Pick<NewPromotion, 'promotedBy' | 'reason' | 'now'> {
  /** Runs its argument in one transaction of the database. */
  transaction: <Result>(work: (client: Queryable) => Promise<Result>) => Promise<Result>;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
  /** Promotes also what refuses requests of today's callers. */
  breaking?: boolean | undefined;
}

/**
 * Promotes a version by hand, the served one too. Throws `unknown_version`, `version_rejected`, `version_emptied`, or
 * `breaking_change` where callers of what is served would notice.
 */
export function promoteVersion(pipelineVersion: string, options: PromotionOptions): Promise<PromotionEntry> {
  return alone(options, (client) => promoteChecked(client, pipelineVersion, { ...options, action: 'hand' }));
}

/** Promotes the version that served well before. Throws `nothing_to_roll_back`, and what a promotion by hand throws. */
export function rollBack(options: PromotionOptions): Promise<PromotionEntry> {
  return alone(options, async (client) => {
    const before = await versionToRollBackTo(client);
    if (before === undefined) throw new RidgelineError('nothing_to_roll_back');
    return await promoteChecked(client, before, { ...options, action: 'rollback' });
  });
}

/** Promotes what is served once more, so that schedules go on. Throws `unknown_version` before anything is served. */
export function resume(options: PromotionOptions): Promise<PromotionEntry> {
  return alone(options, async (client) => {
    const served = await servedVersion(client);
    if (served === undefined)
      throw new RidgelineError('unknown_version', { detail: 'None that can be served has been promoted.' });
    return await promote(client, served, { ...options, action: 'resume' });
  });
}

export interface ProvenPromotion extends PromotionOptions {
  /** The test that it has passed. */
  entry: NewGateEntry;
  /** The newest promotion when the test began. */
  promotionId: string | undefined;
}

/**
 * Promotes a challenger that was held and is proven better, as it is, and keeps the test. Undefined, with nothing changed, where
 * somebody has promoted another version since the test began, the champion was rejected, or schedules hold. Throws what a
 * promotion by hand throws.
 */
export function promoteProven(
  pipelineVersion: string,
  { entry, promotionId, ...options }: ProvenPromotion,
): Promise<GateEntry | undefined> {
  return alone(options, async (client) => {
    const [newest] = await newestPromotions(client, 1);
    if (newest?.promotionId !== promotionId || (await holdOnSchedules(client))) return undefined;
    // Without a promotion another version is served where a server has rejected the champion.
    if ((await servedVersion(client)) !== entry.champion_version) return undefined;
    const gate = await recordGate(client, pipelineVersion, entry);
    await promoteChecked(client, pipelineVersion, { ...options, action: 'schedule' });
    return gate;
  });
}

function alone<Result>(
  { transaction }: PromotionOptions,
  work: (client: Queryable) => Promise<Result>,
): Promise<Result> {
  return againBehindLocks(() =>
    transaction(async (client) => {
      await lockRegistry(client);
      return await work(client);
    }),
  );
}

async function promoteChecked(
  client: Queryable,
  pipelineVersion: string,
  { shipped, breaking, ...promotion }: PromotionOptions & NewPromotion,
): Promise<PromotionEntry> {
  const version = await promotableVersion(client, pipelineVersion);
  if (!version) throw new RidgelineError('unknown_version');
  const contract = contractToServe(version, shipped);
  const hasColumns = version.wasPromoted;
  return await promoteWithColumns(client, pipelineVersion, { ...promotion, contract, shipped, breaking, hasColumns });
}

export interface PromotionWithColumns extends NewPromotion, ContractChange {
  breaking?: boolean | undefined;
  /** Whether the columns of the contract were made by an earlier promotion, and may have been altered by hand since. */
  hasColumns?: boolean;
}

/**
 * Promotes a version together with the columns for its predictions, at the end of a transaction that holds the lock of the
 * registry. Throws `breaking_change` where callers of what is served would notice.
 */
export async function promoteWithColumns(
  client: Queryable,
  pipelineVersion: string,
  { contract, shipped, breaking, hasColumns, ...promotion }: PromotionWithColumns,
): Promise<PromotionEntry> {
  const { served, ...changes } = await changesForCallers(client, { contract, shipped });
  if (!breaking) refuseBreaking(changes);
  const entry = await promote(client, pipelineVersion, promotion);
  // Last, as whoever stores predictions waits for it.
  await ensureFeatureColumns(client, contract, [shipped, ...served, ...(hasColumns ? [contract] : [])]);
  return entry;
}

function contractToServe({ declaration, rejectedReason, isEmptied }: PromotableVersion, shipped: Contract): Contract {
  if (rejectedReason !== null) throw new RidgelineError('version_rejected', { detail: rejectedReason });
  if (isEmptied) throw new RidgelineError('version_emptied');
  try {
    return contractOfStored(declaration, shipped);
  } catch (cause) {
    if (!(cause instanceof RidgelineError)) throw cause;
    throw new RidgelineError('version_rejected', { detail: cause.message, cause });
  }
}
