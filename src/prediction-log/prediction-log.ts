/**
 * What happens to a prediction between its computation and its answer, by the three promises of PREDICTION_LOG:
 * `spool`, answered means written to the local spool; `sync`, answered means committed in Postgres; `off`, not stored.
 *
 * When the spool cannot be written (disk full or failing, SPOOL_MAX_BYTES reached), rows go straight to Postgres until
 * it can; when that fails too the caller is told so, because a 200 must not promise what is not there.
 */
import { RidgelineError } from '../errors.ts';
import type { Column } from '../feature-schema.ts';
import { createOutage } from '../outage.ts';
import { encodeRecords } from './postgres/copy-format.ts';
import { blocksOf, type PredictionBatch } from './prediction-batch.ts';
import { insertIdempotently, type PredictionStore } from './prediction-store.ts';
import { createDeadLetters } from './relay/dead-letters.ts';
import { type Backlog, startRelay } from './relay/relay.ts';
import { createOrphans } from './spool/orphans.ts';
import { openSpool } from './spool/spool.ts';

export interface PredictionLog {
  /**
   * Stores a batch before it is answered. Throws or rejects with `prediction_not_stored`: then it must not be. Once it
   * returns the batch's memory may be overwritten.
   */
  append(batch: PredictionBatch): void | Promise<void>;
  /** What is answered and not yet in Postgres. */
  backlog(): Backlog;
  close(withinMs: number): Promise<void>;
}

type Log = Record<'info' | 'warn' | 'error', (fields: object, message: string) => void>;

export interface DirectLogOptions {
  store: PredictionStore;
  /** Of `predictions`, in the order of a record. */
  columns: readonly Column[];
  log: Log;
}

export interface SpooledLogOptions extends DirectLogOptions {
  /** The directory of all spools. */
  root: string;
  fsync: boolean;
  maxBytes: number;
}

const NO_BACKLOG: Backlog = { rows: 0, oldestAgeSeconds: null, deadLetters: 0, lastError: null, failures: 0 };
const RETRY_AFTER_SECONDS = 2;
/** A spool that has failed is left alone for so long: every attempt may leave a segment behind that has to be relayed. */
const SPOOL_PAUSE_MS = 2_000;

/** PREDICTION_LOG=off. */
export const noLog: PredictionLog = {
  append: () => undefined,
  backlog: () => NO_BACKLOG,
  close: async () => undefined,
};

/** PREDICTION_LOG=sync. */
export function createDirectLog(options: DirectLogOptions): PredictionLog {
  const writer = createDirectWriter(options);
  return { ...noLog, append: (batch) => writer.store(writer.encode(batch)) };
}

/** PREDICTION_LOG=spool. */
export async function createSpooledLog(options: SpooledLogOptions): Promise<PredictionLog> {
  const { root, columns, fsync, maxBytes, store, log } = options;
  const spool = await openSpool({ root, columns, maxBytes, fsync });
  const orphans = createOrphans({ root, columns, log });
  const deadLetters = createDeadLetters(root);
  const relay = startRelay({ sources: [orphans, spool], adopt: orphans.adopt, store, deadLetters, log });
  const direct = createDirectWriter(options);
  const outage = createOutage({
    log,
    level: 'error',
    begins: 'the spool cannot be written; predictions go straight to Postgres',
    ends: 'the spool can be written again',
  });
  let trySpoolAt = 0;

  function appended(): void {
    relay.notify();
    outage.end();
    direct.works();
  }

  function bypass(records: Buffer, error: unknown): Promise<void> {
    outage.begin(error);
    trySpoolAt = Date.now() + SPOOL_PAUSE_MS;
    return direct.store(records);
  }

  return {
    append(batch) {
      if (outage.isOn() && Date.now() < trySpoolAt) return direct.store(direct.encode(batch));
      try {
        const synced = spool.append(batch);
        if (!synced) return appended();
        const records = direct.encode(batch);
        return synced.then(appended, (error: unknown) => bypass(records, error));
      } catch (error) {
        return bypass(direct.encode(batch), error);
      }
    },
    backlog: () => relay.backlog(),
    async close(withinMs) {
      await relay.close(withinMs);
      await orphans.close();
      await spool.close();
    },
  };
}

/** Writes to Postgres while the caller waits. `encode` copies: what it gives outlives the batch's memory. */
function createDirectWriter({ store, columns, log }: DirectLogOptions) {
  const outage = createOutage({
    log,
    level: 'error',
    begins: 'predictions cannot be stored; callers are told to retry',
    ends: 'predictions can be stored again',
  });
  return {
    encode: (batch: PredictionBatch): Buffer => encodeRecords([blocksOf(batch)], columns),
    async store(records: Buffer): Promise<void> {
      try {
        await insertIdempotently(store, columns, records);
      } catch (cause) {
        outage.begin(cause);
        throw new RidgelineError('prediction_not_stored', { retryAfterSeconds: RETRY_AFTER_SECONDS, cause });
      }
      outage.end();
    },
    /** Says that predictions are stored, by another way. */
    works: () => outage.end(),
  };
}
