/**
 * What happens to a prediction between its computation and its row in Postgres, by the three promises of PREDICTION_LOG:
 * `spool`, answered means written to the local spool; `sync`, answered means committed in Postgres; `off`, not stored.
 *
 * The setting is about what is answered from now on. What an earlier start has left in a spool is moved to Postgres in every
 * mode: it was promised.
 */
import type { Column, Contract } from '../contract/contract.ts';
import type { RidgelineError } from '../errors.ts';
import type { PredictionLogFacts } from '../health.ts';
import type { Log } from '../log.ts';
import type { RelayFacts } from '../metrics/service-samples.ts';
import { createIntake, type Intake } from './intake.ts';
import type { PredictionBatch } from './prediction-batch.ts';
import type { PredictionStore } from './prediction-store.ts';
import { createDeadLetters } from './relay/dead-letters.ts';
import { startRelay } from './relay/relay.ts';
import { createOrphans } from './spool/orphans.ts';
import { createSpool } from './spool/spool.ts';
import { createSpoolUsage } from './spool/spool-usage.ts';

export interface PredictionLog {
  /**
   * Stores a batch before it is answered. Throws or rejects with `prediction_not_stored`: then it must not be. Once it
   * returns the batch's memory may be overwritten.
   */
  append(batch: PredictionBatch): void | Promise<void>;
  /** What every caller is told now, before any work is done; undefined while batches are taken. */
  refusal(): RidgelineError | undefined;
  /** Why no caller should be sent here, also where batches are still taken as the next may pass; undefined otherwise. */
  notReadyReason(): string | undefined;
  facts(): PredictionLogFacts;
  /** What has become of the statements that move records, since the start. */
  relayed(): RelayFacts;
  /** Moves what is left to Postgres, as long as that takes it and `withinMs` lasts. The rest stays in the spool. */
  close(withinMs: number): Promise<void>;
}

export interface PredictionLogOptions {
  /** PREDICTION_LOG. */
  mode: PredictionLogFacts['mode'];
  /** The directory of all spools. */
  root: string;
  fsync: boolean;
  maxBytes: number;
  store: PredictionStore;
  /** Of the records of an earlier process whose segment no longer says. */
  assumedColumns: readonly Column[];
  /** The contract that is served now; undefined where nothing is. */
  servedContract: () => Contract | undefined;
  log: Log;
}

export function createPredictionLog(options: PredictionLogOptions): PredictionLog {
  const { mode, root, fsync, maxBytes, store, assumedColumns, servedContract, log } = options;
  const spool = mode === 'spool' ? createSpool({ root, maxBytes, fsync, log }) : undefined;
  const usage = createSpoolUsage(root);
  const orphans = createOrphans({ root, log, ...(spool && { isOwn: spool.owns }) });
  const deadLetters = createDeadLetters(root);
  const relay = startRelay({
    sources: spool ? [orphans, spool] : [orphans],
    adopt: orphans.adopt,
    store,
    deadLetters,
    assumedColumns,
    log,
  });
  const intake =
    mode === 'off' ? storesNothing : createIntake({ spool, onSpooled: relay.notify, store, servedContract, log });

  return {
    append: intake.append,
    refusal: intake.refusal,
    notReadyReason: intake.notReadyReason,
    facts() {
      const { failures, lastError, ...backlog } = relay.backlog();
      const [found] = orphans.obstacles();
      const obstacle = found ? found.join(': ') : null;
      return {
        mode,
        refusing: intake.notReadyReason() ?? null,
        failuresInARow: failures,
        ...backlog,
        bytes: usage.recent(),
        limitBytes: maxBytes,
        obstacle,
        lastError: intake.bypassedBecause() ?? lastError ?? obstacle,
      };
    },
    relayed: relay.facts,
    async close(withinMs) {
      intake.close();
      await relay.close(withinMs);
      await orphans.close();
      await spool?.close();
    },
  };
}

const storesNothing: Intake = {
  append: () => undefined,
  refusal: () => undefined,
  notReadyReason: () => undefined,
  bypassedBecause: () => undefined,
  close: () => undefined,
};
