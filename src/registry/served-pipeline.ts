/**
 * The pipeline that answers now, in memory, keyed by its version; nothing on the request's path asks the database.
 *
 *     empty -> serving v1 -> (v2 promoted) v2 is fetched, checked and warmed beside v1 -> serving v2, v1 retired
 *                                       |-> rejected: v1 serves on, the reason is kept and recorded
 *                                       `-> cannot be loaded now: v1 serves on, the next refresh tries again
 *
 * A version is checked in this order, and the first check that it does not pass is the reason: sizes (pipeline-versions.ts),
 * SHA-256 (artefacts.ts), declaration (stored-declaration.ts), the bytes before ONNX Runtime sees them (onnx/fence.ts), the
 * signature of the session (inference/onnx-session.ts), its golden rows (inference/golden-rows.ts).
 *
 * The swap is one assignment: what is read after it is answered by v2 (loaded-versions.ts has the rest). A rejected promotion
 * is not tried again; a new promotion, of the same version too, is. Where nothing is served, a refresh that finds v2 rejected
 * takes the last version that can be served, and one that finds no database takes what is in models/. Every refresh tries
 * again what the one before it could not do: finding a version to serve, recording a rejection, writing a file.
 */

import type { Clock } from '../clock.ts';
import type { Contract } from '../contract/contract.ts';
import type { Queryable } from '../database/pool.ts';
import { RidgelineError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { ServedPipelineFacts } from '../metrics/service-samples.ts';
import { checkSha256 } from './artefacts.ts';
import { createLoadedVersions, type LoadedVersion, type LoadedVersions } from './loaded-versions.ts';
import { createModelsDirectory } from './models-directory.ts';
import { type PipelineArtefact, readPipeline } from './pipeline-versions.ts';
import { newestPromotions, type Promotion } from './promotions.ts';
import { createRejectionRecorder } from './rejections.ts';
import { contractOfStored } from './stored-declaration.ts';

export interface ServedPipelineOptions<Loaded extends LoadedVersion> {
  /** Opens, proves and warms a version whose bytes have been checked; throws `bad_artefact` to reject it. */
  load: (pipeline: PipelineArtefact, contract: Contract) => Promise<Loaded>;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
  database: Queryable;
  modelsDir: string;
  clock: Clock;
  log: Log;
}

export interface Rejection {
  pipelineVersion: string;
  reason: string;
}

export interface ServedPipeline<Loaded> extends Pick<LoadedVersions<Loaded>, 'current' | 'forContract'> {
  /** The newest promotion, while it is not served because it was rejected or cannot be loaded now. */
  rejection(): Rejection | undefined;
  /** What has been counted since the start. */
  facts(): ServedPipelineFacts;
  /**
   * Reads the newest promotion and serves it if it can be served. Rejects only when the database cannot be read; where nothing
   * is served yet, what is in models/ is by then.
   */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

/** How far back a server that serves nothing looks for a version that can be served. */
const EARLIER_PROMOTIONS = 20;

/** Why a promotion is not served. A final reason is true of the version; any other may pass. */
interface Failure extends Rejection {
  promotionId: string;
  isFinal: boolean;
}

export function createServedPipeline<Loaded extends LoadedVersion>(
  options: ServedPipelineOptions<Loaded>,
): ServedPipeline<Loaded> {
  const { load, shipped, database, modelsDir, clock, log } = options;
  const rejections = createRejectionRecorder({ database, clock, log });
  const models = createModelsDirectory(modelsDir, log);
  const versions = createLoadedVersions<Loaded>(log);
  const { current } = versions;
  const facts: ServedPipelineFacts = { served: undefined, swaps: 0, refusals: 0 };
  /** Of the newest promotion. */
  let failure: Failure | undefined;
  /** Earlier promotions that were rejected, of those that are looked at. */
  let rejectedEarlier = new Set<string>();
  let refreshing: Promise<void> | undefined;
  let again = false;

  async function checkAndLoad(pipeline: PipelineArtefact): Promise<Loaded> {
    checkSha256(pipeline);
    return await load(pipeline, contractOfStored(pipeline.declaration, shipped, versions.contracts()));
  }

  function swap(next: Loaded, { sha256 }: PipelineArtefact, source: string): void {
    const previous = versions.swap(next);
    facts.served = { pipelineVersion: next.pipelineVersion, sha256 };
    facts.swaps++;
    log.info(
      { pipelineVersion: next.pipelineVersion, previous: previous?.pipelineVersion, source },
      'pipeline version is served',
    );
  }

  async function readAndSwap(): Promise<void> {
    const [newest] = await newestPromotions(database, 1);
    if (!newest || newest.pipelineVersion === current()?.pipelineVersion) {
      failure = undefined;
      return;
    }
    const known = failure?.promotionId === newest.promotionId ? failure : undefined;
    failure = known?.isFinal ? known : await tryNewest(newest);
    if (!failure) return;
    try {
      if (!current()) await serveEarlier(newest);
    } finally {
      if (failure.reason !== known?.reason) tell(failure);
    }
  }

  async function tryNewest(newest: Promotion): Promise<Failure | undefined> {
    try {
      return await tryToServe(newest);
    } catch (error) {
      // Perhaps only this version's row cannot be read; a server that serves nothing looks at earlier ones then.
      if (!current()) await serveEarlier(newest).catch(() => undefined);
      throw error;
    }
  }

  /** Serves a promoted version, or returns why it is not served. Rejects when the database cannot be read. */
  async function tryToServe({ promotionId, pipelineVersion }: Promotion): Promise<Failure | undefined> {
    const failed = (reason: string, isFinal: boolean) => ({ promotionId, pipelineVersion, reason, isFinal });
    let pipeline: PipelineArtefact | undefined;
    try {
      pipeline = await readPipeline(database, pipelineVersion);
    } catch (error) {
      if (!(error instanceof RidgelineError)) throw error;
      return reject(failed(reasonOf(error), true));
    }
    if (!pipeline) return failed('There is no such version.', false);
    try {
      swap(await checkAndLoad(pipeline), pipeline, 'database');
    } catch (error) {
      // An error that no check threw is no fault of the version: files or memory may be short.
      if (!(error instanceof RidgelineError)) return failed(reasonOf(error), false);
      return reject(failed(reasonOf(error), true));
    }
    await models.write(pipeline);
    return undefined;
  }

  function reject(rejected: Failure): Failure {
    facts.refusals++;
    rejections.add(rejected.pipelineVersion, rejected.reason);
    return rejected;
  }

  /** A server that has just started has no previous version to stay with: it takes the last good one. */
  async function serveEarlier(newest: Promotion): Promise<void> {
    const tried = new Set([newest.pipelineVersion]);
    const rejectedBefore = rejectedEarlier;
    rejectedEarlier = new Set();
    for (const promotion of await newestPromotions(database, EARLIER_PROMOTIONS)) {
      const { promotionId, pipelineVersion } = promotion;
      const isRejected = rejectedBefore.has(promotionId);
      if (isRejected) rejectedEarlier.add(promotionId);
      if (isRejected || tried.has(pipelineVersion)) continue;
      tried.add(pipelineVersion);
      const found = await tryToServe(promotion);
      if (!found) return;
      if (!found.isFinal) continue;
      rejectedEarlier.add(promotionId);
      log.warn({ pipelineVersion, reason: found.reason }, 'an earlier pipeline version cannot be served either');
    }
  }

  function tell({ pipelineVersion, reason, isFinal }: Failure): void {
    const serving = current()?.pipelineVersion;
    const fields = { pipelineVersion, reason, serving };
    if (!isFinal) log.warn(fields, 'pipeline version cannot be loaded now; it is tried again');
    else if (serving) log.error(fields, 'pipeline version is rejected; the previous one serves on');
    else log.error(fields, 'pipeline version is rejected, and there is none to serve; publish one with npm run train');
  }

  async function writeMissingFile(): Promise<void> {
    const pipelineVersion = models.unwritten();
    if (pipelineVersion === undefined || pipelineVersion !== current()?.pipelineVersion) return;
    // That the database cannot be read is reported elsewhere.
    const pipeline = await readPipeline(database, pipelineVersion).catch(() => undefined);
    if (pipeline) await models.write(pipeline);
  }

  async function refresh(): Promise<void> {
    try {
      await readAndSwap();
      await writeMissingFile();
    } finally {
      await rejections.record();
    }
  }

  async function refreshUntilSettled(): Promise<void> {
    try {
      do {
        again = false;
        await refresh();
      } while (again);
    } catch (error) {
      await loadFromDisk();
      throw error;
    } finally {
      refreshing = undefined;
    }
  }

  async function loadFromDisk(): Promise<void> {
    if (current()) return;
    await models.serveBest(async (pipeline) => swap(await checkAndLoad(pipeline), pipeline, 'models/'));
  }

  return {
    current,
    forContract: versions.forContract,
    facts: () => ({ ...facts }),
    rejection: () => failure && { pipelineVersion: failure.pipelineVersion, reason: failure.reason },
    refresh() {
      // A notice during a refresh may be of a later promotion than the one that is being read.
      again = true;
      refreshing ??= refreshUntilSettled();
      return refreshing;
    },
    async close() {
      await refreshing?.catch(() => undefined);
      versions.close();
    },
  };
}
