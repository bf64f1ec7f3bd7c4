/**
 * Where a batch goes before it is answered: to the spool, else straight to Postgres, else nowhere, and then its callers are
 * told so, because a 200 must not promise what is not there.
 *
 *     spool --(cannot be written)--> postgres --(takes nothing, or hangs)--> refusing
 *       ^                              |  ^                                     |
 *       +--- a try of the spool -------+  +----- a try of Postgres -------------+ (or of the spool: back to the beginning)
 *
 * With PREDICTION_LOG=sync there is no spool, and Postgres is the beginning. What has failed is tried again from here, not
 * only by callers: an instance that refuses gets no requests by which to find out that it could take them again.
 */
import type { Contract } from '../contract/contract.ts';
import { RidgelineError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { createOutage } from '../outage.ts';
import { within } from '../within.ts';
import { createDirectWriter, type Records } from './direct-writer.ts';
import { encodeRecords } from './postgres/copy-format.ts';
import { firstRecords } from './postgres/tuples.ts';
import { blocksOf, type PredictionBatch } from './prediction-batch.ts';
import { blamesContent, type PredictionStore } from './prediction-store.ts';
import { recordColumns } from './record-columns.ts';
import type { Spool } from './spool/spool.ts';

export interface Intake {
  /**
   * Stores a batch. Throws or rejects with `prediction_not_stored`: then it must not be answered. Once it returns the
   * batch's memory may be overwritten.
   */
  append(batch: PredictionBatch): void | Promise<void>;
  /** What every caller is told now, before any work is done; undefined while batches are taken. */
  refusal(): RidgelineError | undefined;
  /** Why no caller should be sent here, also where batches are still taken as the next may pass; undefined otherwise. */
  notReadyReason(): string | undefined;
  /** Why the spool is bypassed; undefined while it is not. */
  bypassedBecause(): string | undefined;
  /** Ends the tries. */
  close(): void;
}

export interface IntakeOptions {
  /** Undefined with PREDICTION_LOG=sync. */
  spool: Pick<Spool, 'append' | 'probe'> | undefined;
  /** Hears of what the spool has taken. */
  onSpooled: () => void;
  store: PredictionStore;
  /** Of the next batches; undefined where nobody can tell. */
  servedContract: () => Contract | undefined;
  log: Log;
}

type Way = 'spool' | 'postgres' | 'refusing';

const RETRY_AFTER_SECONDS = 2;
const TRY_AGAIN_MS = 1_000;
/** How long a spool that has failed is left alone while Postgres works: a nearly full disk has room now and then. */
const SPOOL_PAUSE_MS = 2_000;
/** When Postgres refuses the content of this many batches in a row, the cause is not the values of one caller. */
const REFUSED_IN_A_ROW = 3;
/** How long after the last refusal that is still assumed. */
const REFUSED_FOR_MS = 5_000;
/** Rows of a try: enough to fail as the batch has failed, and few to roll back every second. */
const REHEARSED_ROWS = 1_000;

export function createIntake({ spool, onSpooled, store, servedContract, log }: IntakeOptions): Intake {
  const beginning: Way = spool ? 'spool' : 'postgres';
  const writer = createDirectWriter(store);
  const bypass = createOutage({
    log,
    level: 'error',
    begins: 'the spool cannot be written; predictions go straight to Postgres',
    ends: 'the spool can be written again',
  });
  const refusing = createOutage({
    log,
    level: 'error',
    begins: 'predictions cannot be stored; callers are told to retry',
    ends: 'predictions can be stored again',
  });
  let way: Way = beginning;
  let bypassReason: string | undefined;
  let refusal: RidgelineError | undefined;
  let timer: NodeJS.Timeout | undefined;
  let trySpoolAt = 0;
  let tryPostgresAt = 0;
  const trying = { spool: false, postgres: false };
  let refusedInARow = 0;
  let refusedAt = 0;
  let contentReason = '';
  /** What Postgres has not taken, for the tries. */
  let rehearsed: Records | undefined;

  function append(batch: PredictionBatch): void | Promise<void> {
    if (refusal) throw refusal;
    if (way === 'postgres') return storeDirectly(encode(batch));
    try {
      const synced = spool!.append(batch);
      if (!synced) return onSpooled();
      const records = encode(batch);
      return synced.then(onSpooled, (error: unknown) => passBySpool(records, error));
    } catch (error) {
      return passBySpool(encode(batch), error);
    }
  }

  function passBySpool(records: Records, error: unknown): Promise<void> {
    if (way === 'spool') {
      way = 'postgres';
      bypassReason = reasonOf(error);
      bypass.begin(error);
      trySpoolAt = performance.now() + SPOOL_PAUSE_MS;
      keepTrying();
    }
    return refusal ? Promise.reject(refusal) : storeDirectly(records);
  }

  async function storeDirectly(records: Records): Promise<void> {
    try {
      await writer.store(records);
    } catch (error) {
      if (error instanceof RidgelineError) throw error;
      const { columns, bytes } = records;
      rehearsed = { columns, bytes: Buffer.from(firstRecords(bytes, REHEARSED_ROWS)) };
      if (blamesContent(store.failureOf(error))) noteRefused(error);
      else refuseAll(error);
      throw notStored(error);
    }
    refusedInARow = 0;
    if (way === 'postgres') refusing.end();
  }

  /** Ignores an insert that was under way when the spool began to work again. */
  function refuseAll(error: unknown): void {
    if (way !== 'postgres') return;
    way = 'refusing';
    // One shared instance, as `overloaded` is in serving/.
    refusal = notStored(error);
    refusing.begin(error);
    keepTrying();
    // What failed one insert, such as a deadlock, may not fail the next; but not each failure is worth a try at once.
    if (performance.now() >= tryPostgresAt) void tryPostgres();
  }

  function noteRefused(error: unknown): void {
    refusedInARow++;
    refusedAt = performance.now();
    contentReason = reasonOf(error);
    if (way !== 'postgres') return;
    refusing.begin(error);
    keepTrying();
  }

  /** Batches are still taken then, as the next one may hold values that Postgres takes. */
  function contentIsRefused(): boolean {
    return refusedInARow >= REFUSED_IN_A_ROW && performance.now() - refusedAt < REFUSED_FOR_MS;
  }

  function take(next: Exclude<Way, 'refusing'>): void {
    way = next;
    refusal = undefined;
    refusedInARow = 0;
    if (way === 'spool') {
      bypassReason = undefined;
      bypass.end();
    }
    refusing.end();
  }

  function keepTrying(): void {
    timer ??= setInterval(tryAgain, TRY_AGAIN_MS).unref();
  }

  function stopTrying(): void {
    clearInterval(timer);
    timer = undefined;
  }

  function tryAgain(): void {
    if (spool && way !== 'spool' && (way === 'refusing' || performance.now() >= trySpoolAt)) void trySpool(spool);
    if (way === 'refusing' || contentIsRefused()) void tryPostgres();
    else if (way === beginning) stopTrying();
  }

  async function trySpool({ probe }: Pick<Spool, 'probe'>): Promise<void> {
    if (trying.spool) return;
    trying.spool = true;
    try {
      await probe();
      if (timer) take('spool');
    } catch (error) {
      bypassReason = reasonOf(error);
      trySpoolAt = performance.now() + SPOOL_PAUSE_MS;
    }
    trying.spool = false;
  }

  /** No rows where those that it has not taken are of a contract that is no longer served: others come now. */
  function nextRehearsal(last: Records): Records {
    const served = servedContract();
    if (!served || recordColumns(served) === last.columns) return last;
    return { columns: recordColumns(served), bytes: Buffer.alloc(0) };
  }

  /** Tries with the records that it has not taken: what was wrong with those fails again, unless it has been mended. */
  async function tryPostgres(): Promise<void> {
    if (trying.postgres || !rehearsed) return;
    trying.postgres = true;
    tryPostgresAt = performance.now() + TRY_AGAIN_MS;
    try {
      const { columns, bytes } = nextRehearsal(rehearsed);
      await within(TRY_AGAIN_MS, store.rehearse(columns, bytes, TRY_AGAIN_MS), noAnswer);
      if (way !== 'spool' && timer) take('postgres');
    } catch (error) {
      const isBack = blamesContent(store.failureOf(error));
      if (way === 'refusing' && isBack && timer) take('postgres');
      else if (way === 'refusing') refusal = notStored(error);
    }
    trying.postgres = false;
  }

  function notReadyReason(): string | undefined {
    if (refusal) {
      const why = reasonOf(refusal.cause);
      return bypassReason === undefined ? why : `${bypassReason.replace(/\.$/, '')}; Postgres: ${why}`;
    }
    return contentIsRefused() ? `Postgres refuses their content: ${contentReason}` : undefined;
  }

  return {
    append,
    refusal: () => refusal,
    notReadyReason,
    bypassedBecause: () => bypassReason,
    close: stopTrying,
  };
}

/** A copy, as it outlives the batch's memory. */
function encode(batch: PredictionBatch): Records {
  const columns = recordColumns(batch.contract);
  return { columns, bytes: encodeRecords([blocksOf(batch)], columns) };
}

function notStored(cause: unknown): RidgelineError {
  return new RidgelineError('prediction_not_stored', { retryAfterSeconds: RETRY_AFTER_SECONDS, cause });
}

function noAnswer(): never {
  throw new Error('no answer');
}
