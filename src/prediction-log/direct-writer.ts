/**
 * Writes to Postgres while callers wait. One insert is under way at a time; batches with the same columns that come meanwhile
 * share the next one, so that a slow Postgres gets fewer and larger statements, and only one connection is used.
 *
 * An insert that is not done in time is given up, and with it all that wait, so that a caller waits for two inserts at
 * most: the one before and its own; and while contracts change, for one of the other columns in between. Whether a given-up
 * insert is stored is unknown.
 */
import type { Column } from '../contract/contract.ts';
import { RidgelineError } from '../errors.ts';
import { within } from '../within.ts';
import { blamesContent, insertIdempotently, type PredictionStore } from './prediction-store.ts';

/** Tuples of the binary COPY format with these columns. */
export interface Records {
  columns: readonly Column[];
  bytes: Buffer;
}

export interface DirectWriter {
  /** Rejects with what Postgres said, or that it said nothing in time; with `overloaded` where too much waits. */
  store(records: Records): Promise<void>;
}

interface Waiting extends Records {
  settle: (error?: unknown) => void;
}

const INSERT_TIMEOUT_MS = 5_000;
/** Without a pause: a restart, a failover or a pooler ends all connections, and each shows it only when it is used. */
const TRIES = 3;
/** Of one insert, about 30,000 rows; a single larger batch goes alone. */
const INSERT_BYTES = 4 * 1024 * 1024;
/** Beyond it callers are refused, as more could not be stored in time. */
const WAITING_BYTES = 16 * 1024 * 1024;

export function createDirectWriter(store: PredictionStore): DirectWriter {
  let waiting: Waiting[] = [];
  let waitingBytes = 0;
  let busy = false;

  async function run(): Promise<void> {
    busy = true;
    while (waiting.length > 0) {
      const group = takeGroup();
      const attempt = { givenUp: false };
      try {
        await within(INSERT_TIMEOUT_MS, insert(group, attempt), noAnswer);
      } catch (error) {
        attempt.givenUp = true;
        for (const { settle } of [...group, ...takeAll()]) settle(error);
      }
    }
    busy = false;
  }

  function takeGroup(): Waiting[] {
    const group: Waiting[] = [];
    const others: Waiting[] = [];
    const { columns } = waiting[0]!;
    let size = 0;
    for (const next of waiting) {
      const fits = group.length === 0 || size + next.bytes.length <= INSERT_BYTES;
      if (next.columns === columns && fits) {
        group.push(next);
        size += next.bytes.length;
      } else others.push(next);
    }
    waiting = others;
    waitingBytes -= size;
    return group;
  }

  function takeAll(): Waiting[] {
    const all = waiting;
    waiting = [];
    waitingBytes = 0;
    return all;
  }

  /** Settles the group. A batch whose content is refused is found by halving, and does not fail the others. */
  async function insert(group: Waiting[], attempt: { givenUp: boolean }): Promise<void> {
    const { columns } = group[0]!;
    const bytes = group.length === 1 ? group[0]!.bytes : Buffer.concat(group.map((one) => one.bytes));
    try {
      await insertAtOnce({ columns, bytes }, attempt);
      for (const { settle } of group) settle();
    } catch (error) {
      if (attempt.givenUp || !blamesContent(store.failureOf(error))) throw error;
      if (group.length === 1) return group[0]!.settle(error);
      const middle = group.length >> 1;
      await insert(group.slice(0, middle), attempt);
      await insert(group.slice(middle), attempt);
    }
  }

  /** Tries again after a lost connection, as the next one may work. What the first has stored is not stored twice. */
  async function insertAtOnce({ columns, bytes }: Records, attempt: { givenUp: boolean }): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await insertIdempotently(store, columns, bytes, INSERT_TIMEOUT_MS);
      } catch (error) {
        if (tries === TRIES || attempt.givenUp || store.failureOf(error) !== 'unavailable') throw error;
      }
    }
  }

  return {
    store(records) {
      if (waitingBytes + records.bytes.length > WAITING_BYTES && waiting.length > 0) {
        return Promise.reject(new RidgelineError('overloaded'));
      }
      return new Promise((resolve, reject) => {
        waiting.push({ ...records, settle: (error) => (error === undefined ? resolve() : reject(error)) });
        waitingBytes += records.bytes.length;
        if (!busy) void run();
      });
    },
  };
}

function noAnswer(): never {
  throw new Error(`Postgres has not answered within ${INSERT_TIMEOUT_MS / 1000} s`);
}
