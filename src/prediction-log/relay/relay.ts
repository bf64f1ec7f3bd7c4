/**
 * Moves spooled records to Postgres, each exactly once, oldest first, in batches of bounded memory.
 *
 *     idle -> (notify) -> gathering -> reading a piece ---> storing it -> the next piece ..... -> idle
 *                                          ^                  `-> Postgres away: pausing, longer each time -+
 *                                          +----------------------------------------------------------------+
 *
 * A batch whose outcome is unknown, because the connection broke at the commit, is simply stored again: the second
 * attempt fails on the primary key, and then only the missing rows are added. A batch that Postgres refuses for its
 * content is halved until the refused records stand alone; they go to the dead-letter file and the others go on.
 */
import { reasonOf } from '../../errors.ts';
import type { Column } from '../../feature-schema.ts';
import { createOutage } from '../../outage.ts';
import { describeRecord, splitRecords } from '../postgres/copy-format.ts';
import { insertIdempotently, type PredictionStore } from '../prediction-store.ts';
import { hasPending, isFinished, type Segment } from '../spool/segment.ts';
import type { DeadLetter, DeadLetters } from './dead-letters.ts';
import { createSpoolReader, MAX_ROWS } from './spool-reader.ts';

/** Where segments come from: this process's spool, or what dead ones have left. */
export interface SegmentSource {
  /** Oldest first. */
  segments(): readonly Segment[];
  /** Removes a finished segment. */
  remove(segment: Segment): void | Promise<void>;
}

export interface RelayOptions {
  /** Relayed one after another. */
  sources: readonly SegmentSource[];
  /**
   * Takes over what dead processes have left, to be found in one of the sources as soon as it is counted; then `found` is
   * called. Resolves with the number of rows once all is counted. Never rejects.
   */
  adopt: (found: () => void) => Promise<number>;
  store: PredictionStore;
  deadLetters: DeadLetters;
  log: Record<'info' | 'warn' | 'error', (fields: object, message: string) => void>;
}

export interface Backlog {
  /** Answered predictions that are not in Postgres yet. */
  rows: number;
  /** Since the oldest of them was answered; null when none waits. */
  oldestAgeSeconds: number | null;
  /** Records set aside since the start. */
  deadLetters: number;
  /** Why the last attempt to store some of them failed; null after one that succeeded. */
  lastError: string | null;
  /** Attempts that have failed in a row. */
  failures: number;
}

export interface Relay {
  /** Says that records have been appended. */
  notify(): void;
  backlog(): Backlog;
  /** Relays what is left, as long as Postgres takes it and `withinMs` lasts. The rest stays in the spool. */
  close(withinMs: number): Promise<void>;
}

/** Records gather this long, so that a trickle becomes one statement for many rows. */
const GATHER_MS = 100;
const FIRST_PAUSE_MS = 200;
/** Bounds how late it is noticed that Postgres is back. */
const LONGEST_PAUSE_MS = 5_000;
/** How often spools of dead processes, such as another worker's, are looked for. */
const ADOPTION_MS = 10_000;

export function startRelay({ sources, adopt, store, deadLetters, log }: RelayOptions): Relay {
  const reader = createSpoolReader();
  const outage = createOutage({
    log,
    level: 'warn',
    begins: 'predictions cannot be moved to Postgres; they wait in the spool',
    ends: 'predictions are moved to Postgres again',
  });
  let adoptionDue = 0;
  let failures = 0;
  let lastError: string | null = null;
  let closing = false;
  let isNotified = false;
  let wakeIdle: (() => void) | undefined;
  let interruptSleep: (() => void) | undefined;

  const running = run();

  async function run(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    while (true) {
      try {
        isNotified = false;
        const moved = await relayNext();
        outage.end();
        failures = 0;
        lastError = null;
        pause = FIRST_PAUSE_MS;
        if (moved === 0) {
          if (closing) return;
          // What came while it was looked for records may have been missed.
          await (isNotified ? sleep(GATHER_MS) : idle());
        } else if (moved < MAX_ROWS && !closing && !pendingSegments().some(({ sealed }) => sealed)) {
          await sleep(GATHER_MS);
        }
      } catch (error) {
        outage.begin(error);
        failures++;
        lastError = reasonOf(error);
        if (closing) return;
        // A connection that was given up may still send what lies in the old one.
        reader.renewMemory();
        // Jitter keeps many servers from returning to the database in the same instant.
        await sleep(pause * (0.75 + Math.random() / 2));
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  /** Stores what is oldest and returns how many records that were; 0 when nothing waits. */
  async function relayNext(): Promise<number> {
    if (Date.now() >= adoptionDue) void adoptOrphans();
    const segment = pendingSegments()[0];
    const moved = segment ? await relayFrom(segment) : 0;
    for (const source of sources)
      for (const finished of source.segments().filter(isFinished)) await source.remove(finished);
    return moved;
  }

  function pendingSegments(): Segment[] {
    return sources.flatMap((source) => source.segments().filter(hasPending));
  }

  async function adoptOrphans(): Promise<void> {
    adoptionDue = Date.now() + ADOPTION_MS;
    const rows = await adopt(notify);
    if (rows === 0) return;
    log.info({ rows }, 'an earlier process has left its spool; what Postgres lacks of these predictions is relayed');
  }

  async function relayFrom(segment: Segment): Promise<number> {
    const { records, columns, rows, damaged, consumed, newestAt } = await reader.next(segment);
    await storeRecords(columns, records);
    for (const bytes of damaged) await setAside({ bytes }, 'the checksum does not fit');
    segment.relayed({ bytes: consumed, rows, newestAt, columns });
    return rows + damaged.length;
  }

  async function storeRecords(recordColumns: readonly Column[], records: Buffer): Promise<void> {
    if (records.length === 0) return;
    try {
      await insertIdempotently(store, recordColumns, records);
    } catch (error) {
      if (store.failureOf(error) !== 'refused') throw error;
      const single = splitRecords(records);
      if (single.length === 1) return setAside({ record: describeRecord(recordColumns, records) }, reasonOf(error));
      const middle = single.slice(0, single.length >> 1).reduce((sum, { length }) => sum + length, 0);
      await storeRecords(recordColumns, records.subarray(0, middle));
      await storeRecords(recordColumns, records.subarray(middle));
    }
  }

  async function setAside(what: DeadLetter, reason: string): Promise<void> {
    await deadLetters.add(what, reason);
    log.error({ reason, file: deadLetters.path }, 'a prediction record cannot be stored and is set aside');
  }

  function idle(): Promise<void> {
    const asleep = sleep(Math.max(0, adoptionDue - Date.now()));
    wakeIdle = interruptSleep;
    return asleep;
  }

  function sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        wakeIdle = undefined;
        interruptSleep = undefined;
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      interruptSleep = end;
    });
  }

  function notify(): void {
    isNotified = true;
    if (!wakeIdle) return;
    setTimeout(wakeIdle, GATHER_MS);
    wakeIdle = undefined;
  }

  return {
    notify,
    backlog() {
      const pending = pendingSegments().filter(({ pendingRows }) => pendingRows > 0);
      const oldestAt = Math.min(...pending.map((segment) => segment.oldestAt));
      return {
        rows: pending.reduce((sum, { pendingRows }) => sum + pendingRows, 0),
        oldestAgeSeconds: pending.length > 0 ? Math.max(0, (performance.now() - oldestAt) / 1000) : null,
        deadLetters: deadLetters.count(),
        lastError,
        failures,
      };
    },
    async close(withinMs) {
      closing = true;
      interruptSleep?.();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, withinMs);
      });
      await Promise.race([running, late]);
      clearTimeout(timer);
    },
  };
}
