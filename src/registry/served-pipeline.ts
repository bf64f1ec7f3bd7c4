/**
 * The pipeline that answers now, in memory, keyed by its version; nothing on the request's path asks the database.
 *
 *     empty -> serving v1 -> (v2 promoted) v2 is fetched, checked and warmed beside v1 -> serving v2, v1 retired
 *                                       `-> refused: v1 serves on, the reason is kept and recorded
 *
 * The swap is one assignment: a run that begins after it is answered by v2. A refused promotion is
 * not tried again; a new promotion, of the same version too, is.
 */
import { RidgelineError, reasonOf } from '../errors.ts';
import { checkSha256, rememberServed, versionsOnDisk } from './artefacts.ts';
import {
  markRejected,
  newestPromotions,
  type PipelineArtefact,
  type Promotion,
  type Queryable,
  readPipeline,
} from './pipeline-versions.ts';

/** What a loaded version must be able to do here. */
interface Retirable {
  pipelineVersion: string;
  retire(): void;
}

interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface ServedPipelineOptions<Loaded extends Retirable> {
  /** Opens, proves and warms a version whose bytes have been checked; throws `bad_artefact` to refuse it. */
  load: (pipeline: PipelineArtefact) => Promise<Loaded>;
  database: Queryable;
  modelsDir: string;
  log: Logger;
}

export interface Rejection {
  pipelineVersion: string;
  reason: string;
}

export interface ServedPipeline<Loaded> {
  /** The loaded version to answer with, or undefined before the first. */
  current(): Loaded | undefined;
  /** The newest promotion, when it was refused. */
  rejection(): Rejection | undefined;
  /** Reads the newest promotion and serves it if it can be served. Rejects only when the database cannot be read. */
  refresh(): Promise<void>;
  /** Serves the best version found in models/, if nothing is served yet; for a start without the database. */
  loadFromDisk(): Promise<void>;
  close(): Promise<void>;
}

/** How far back a server that serves nothing looks for a version that can be served. */
const EARLIER_PROMOTIONS = 20;

export function createServedPipeline<Loaded extends Retirable>(
  options: ServedPipelineOptions<Loaded>,
): ServedPipeline<Loaded> {
  const { load, database, modelsDir, log } = options;
  let current: Loaded | undefined;
  let rejected: (Rejection & { promotionId: string }) | undefined;
  let refreshing: Promise<void> | undefined;
  let again = false;

  async function checkAndLoad(pipeline: PipelineArtefact): Promise<Loaded> {
    checkSha256(pipeline);
    return await load(pipeline);
  }

  function swap(next: Loaded, source: string): void {
    const previous = current;
    current = next;
    log.info(
      { pipelineVersion: next.pipelineVersion, previous: previous?.pipelineVersion, source },
      'pipeline version is served',
    );
    try {
      previous?.retire();
    } catch (err) {
      log.warn({ err }, 'the replaced pipeline could not be released');
    }
  }

  async function reject({ promotionId, pipelineVersion }: Promotion, reason: string): Promise<void> {
    rejected = { promotionId, pipelineVersion, reason };
    log.error(
      { pipelineVersion, reason, serving: current?.pipelineVersion },
      'pipeline version is refused; the previous one serves on',
    );
    await markRejected(database, pipelineVersion, reason);
  }

  async function readAndSwap(): Promise<void> {
    const [newest] = await newestPromotions(database, 1);
    if (!newest || rejected?.promotionId === newest.promotionId) return;
    if (current?.pipelineVersion === newest.pipelineVersion) {
      rejected = undefined;
      return;
    }
    const reason = await tryToServe(newest);
    if (reason === undefined) {
      rejected = undefined;
      return;
    }
    await reject(newest, reason);
    if (!current) await serveEarlier(newest);
  }

  /** Serves a promoted version, or returns why it cannot be served. */
  async function tryToServe({ pipelineVersion }: Promotion): Promise<string | undefined> {
    const pipeline = await readPipeline(database, pipelineVersion);
    if (!pipeline) return 'there is no such version';
    try {
      swap(await checkAndLoad(pipeline), 'database');
    } catch (error) {
      if (!(error instanceof RidgelineError)) throw error;
      return reasonOf(error);
    }
    await rememberServed(modelsDir, pipeline).catch((error: unknown) =>
      log.warn(
        { reason: reasonOf(error), modelsDir },
        'the artefact could not be written to models/; a start without the database needs it',
      ),
    );
    return undefined;
  }

  /** A server that has just started has no previous version to stay with: it takes the last good one there was. */
  async function serveEarlier(newest: Promotion): Promise<void> {
    const tried = new Set([newest.pipelineVersion]);
    for (const promotion of await newestPromotions(database, EARLIER_PROMOTIONS)) {
      if (tried.has(promotion.pipelineVersion)) continue;
      tried.add(promotion.pipelineVersion);
      if ((await tryToServe(promotion)) === undefined) return;
    }
  }

  async function refreshUntilSettled(): Promise<void> {
    try {
      do {
        again = false;
        await readAndSwap();
      } while (again);
    } finally {
      refreshing = undefined;
    }
  }

  return {
    current: () => current,
    rejection: () => rejected && { pipelineVersion: rejected.pipelineVersion, reason: rejected.reason },
    refresh() {
      // A notice that arrives during a refresh may be of a later promotion than the one being read.
      again = true;
      refreshing ??= refreshUntilSettled();
      return refreshing;
    },
    async loadFromDisk() {
      for (const { pipelineVersion, read } of await versionsOnDisk(modelsDir)) {
        if (current) return;
        try {
          swap(await checkAndLoad(await read()), 'models/');
        } catch (error) {
          log.warn({ pipelineVersion, reason: reasonOf(error) }, 'an artefact in models/ cannot be served');
        }
      }
    },
    async close() {
      await refreshing?.catch(() => undefined);
      current?.retire();
      current = undefined;
    },
  };
}
