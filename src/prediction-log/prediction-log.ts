/**
 * What happens to a prediction between its computation and its answer, by the three promises of PREDICTION_LOG:
 * `spool`, answered means written to the local spool; `sync`, answered means committed in Postgres; `off`, not stored.
 *
 * When the spool cannot be written (disk full or failing, SPOOL_MAX_BYTES reached), rows go straight to Postgres until
 * it can; when that fails too the caller is told so, because a 200 must not promise what is not there.
 */
import { RidgelineError } from '../errors.ts';
import { createOutage, type Outage } from '../outage.ts';
import { encodeRecords, type RecordColumn, recordColumns } from './postgres/copy-format.ts';
import { type PackedBatch, type PredictionBatch, packed } from './prediction-batch.ts';
import { insertOnce, type PredictionStore } from './prediction-store.ts';
import { type Backlog, startRelay } from './relay/relay.ts';
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

export interface PredictionLogOptions {
  mode: 'spool' | 'sync' | 'off';
  /** The directory of all spools. */
  root: string;
  featureColumns: readonly RecordColumn[];
  fsync: boolean;
  maxBytes: number;
  store: PredictionStore;
  log: Record<'info' | 'warn' | 'error', (fields: object, message: string) => void>;
}

const NO_BACKLOG: Backlog = { rows: 0, oldestAgeSeconds: 0, deadLetters: 0 };
const RETRY_AFTER_SECONDS = 2;
/** A spool that has failed is left alone for so long: every attempt may leave a segment behind that has to be relayed. */
const SPOOL_PAUSE_MS = 2_000;

export async function createPredictionLog(options: PredictionLogOptions): Promise<PredictionLog> {
  if (options.mode === 'off') {
    return { append: () => undefined, backlog: () => NO_BACKLOG, close: async () => undefined };
  }
  const columns = recordColumns(options.featureColumns);
  const notStored = createOutage({
    log: options.log,
    level: 'error',
    begins: 'predictions cannot be stored; callers are told to retry',
    ends: 'predictions can be stored again',
  });
  const storeDirectly = directWriter(options.store, columns, notStored);
  if (options.mode === 'sync') {
    return {
      append: (batch) => storeDirectly(packed(batch)),
      backlog: () => NO_BACKLOG,
      close: async () => undefined,
    };
  }
  return await createSpooledLog(options, columns, storeDirectly, notStored);
}

async function createSpooledLog(
  { root, fsync, maxBytes, store, log }: PredictionLogOptions,
  columns: readonly RecordColumn[],
  storeDirectly: (batch: PackedBatch) => Promise<void>,
  notStored: Outage,
): Promise<PredictionLog> {
  const spool = await openSpool({ root, columns, maxBytes, fsync });
  const relay = startRelay({ spool, root, columns, store, log });
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
    notStored.end();
  }

  function bypass(batch: PackedBatch, error: unknown): Promise<void> {
    outage.begin(error);
    trySpoolAt = Date.now() + SPOOL_PAUSE_MS;
    return storeDirectly(batch);
  }

  return {
    append(batch) {
      if (outage.isOn() && Date.now() < trySpoolAt) return storeDirectly(packed(batch));
      try {
        const synced = spool.append(batch);
        if (!synced) return appended();
        const kept = packed(batch);
        return synced.then(appended, (error: unknown) => bypass(kept, error));
      } catch (error) {
        return bypass(packed(batch), error);
      }
    },
    backlog: () => relay.backlog(),
    async close(withinMs) {
      await relay.close(withinMs);
      await spool.close();
    },
  };
}

function directWriter(store: PredictionStore, columns: readonly RecordColumn[], notStored: Outage) {
  return async (batch: PackedBatch): Promise<void> => {
    try {
      await insertOnce(store, columns, encodeRecords([batch], columns));
    } catch (cause) {
      notStored.begin(cause);
      throw new RidgelineError('prediction_not_stored', { retryAfterSeconds: RETRY_AFTER_SECONDS, cause });
    }
    notStored.end();
  };
}
