/**
 * Stores what was read of a segment, part by part, in order, and remembers how far it came: the next attempt goes on there.
 *
 *     stored                            -> more at once, if it was quick
 *     slow                              -> half as many the next time, down to one record
 *     refused for its content           -> halved until the refused records stand alone; those become dead letters
 *     anything else, and the slow part  -> thrown; the attempt ends
 *
 * A part whose outcome is unknown, because the connection broke at the commit, is simply stored again: the second attempt
 * fails on the primary key, and then only the missing rows are added. A constraint that refuses everything sets everything
 * aside, one record at a time, each with a line in the log.
 */
import type { Column } from '../../contract/contract.ts';
import { RidgelineError, reasonOf } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { RelayFacts } from '../../metrics/service-samples.ts';
import { describeRecord } from '../postgres/describe.ts';
import { firstRecords } from '../postgres/tuples.ts';
import { blamesContent, insertIdempotently, type PredictionStore } from '../prediction-store.ts';
import type { Segment } from '../spool/segment.ts';
import type { DeadLetter, DeadLetters } from './dead-letters.ts';
import { MAX_ROWS, type NextRecords } from './spool-reader.ts';

export interface Storing {
  /** How many records may be stored at once. */
  limit(): number;
  /** Rejects with what the store or the file of dead letters says. */
  store(segment: Segment, next: NextRecords): Promise<void>;
  /** How many statements have ended in each way since the start. */
  facts(): RelayFacts;
}

export interface StoringOptions {
  store: PredictionStore;
  deadLetters: DeadLetters;
  log: Pick<Log, 'error'>;
}

/** What of the records that were read last is done with already. */
interface Done {
  rows: number;
  unreadable: number;
}

/** A fifth of the time that a statement may take, so that twice as many records are stored well within it. */
const QUICK_MS = 3_000;

export function createStoring({ store, deadLetters, log }: StoringOptions): Storing {
  const begun = new WeakMap<Segment, Done>();
  const facts: RelayFacts = { stored: 0, failed: 0, refused: 0 };
  let limit = MAX_ROWS;

  async function storePart(columns: readonly Column[], records: Buffer, rows: number, done: (rows: number) => void) {
    const startedAt = performance.now();
    try {
      await insertIdempotently(store, columns, records);
    } catch (error) {
      const failure = store.failureOf(error);
      facts[blamesContent(failure) ? 'refused' : 'failed']++;
      if (failure === 'slow') throw shrink(rows, error);
      if (!blamesContent(failure)) throw error;
      if (rows === 1) {
        await setAside({ record: describeRecord(columns, records) }, reasonOf(error));
        return done(1);
      }
      const half = firstRecords(records, rows >> 1);
      await storePart(columns, half, rows >> 1, done);
      return await storePart(columns, records.subarray(half.length), rows - (rows >> 1), done);
    }
    facts.stored++;
    done(rows);
    if (rows >= limit && performance.now() - startedAt < QUICK_MS) limit = Math.min(MAX_ROWS, limit * 2);
  }

  /** Halves the limit; the error says what was too much. */
  function shrink(rows: number, cause: unknown): Error {
    limit = Math.max(1, rows >> 1);
    return new Error(`${reasonOf(cause)}, with ${rows} rows; next it is tried with ${limit}`, { cause });
  }

  async function setAside(what: DeadLetter, reason: string): Promise<void> {
    try {
      await deadLetters.add(what, reason);
    } catch (cause) {
      const detail = `A record that cannot be stored (${reason}) cannot be set aside either: ${reasonOf(cause)}. Free or repair the disk of DATA_DIR.`;
      throw new RidgelineError('spool', { detail, cause });
    }
    log.error({ reason, file: deadLetters.path }, 'a prediction record cannot be stored and is set aside');
  }

  return {
    limit: () => limit,
    facts: () => ({ ...facts }),
    async store(segment, { columns, header, records, rows, unreadable, consumed, newestAt }) {
      const done = begun.get(segment) ?? { rows: 0, unreadable: 0 };
      begun.set(segment, done);
      const settle = (count: number) => segment.relayed({ bytes: 0, rows: count, newestAt: undefined });

      let left = Math.max(0, rows - done.rows);
      let rest = left < rows ? records.subarray(firstRecords(records, rows - left).length) : records;
      while (left > 0) {
        // The reader may give a piece more than the limit, which matters only when the limit is small.
        const count = limit === MAX_ROWS ? left : Math.min(left, limit);
        const part = count === left ? rest : firstRecords(rest, count);
        await storePart(columns, part, count, (stored) => {
          done.rows += stored;
          settle(stored);
        });
        left -= count;
        rest = rest.subarray(part.length);
      }
      for (const one of unreadable.slice(done.unreadable)) {
        await setAside(one.what, one.reason);
        done.unreadable++;
        settle(one.rows);
      }
      // What was read this time may be less than the last time, when the limit was larger.
      done.rows = Math.max(0, done.rows - rows);
      done.unreadable = Math.max(0, done.unreadable - unreadable.length);
      segment.relayed({ bytes: consumed, rows: 0, newestAt, columns: header });
    },
  };
}
