/**
 * Moves spooled records to Postgres, each exactly once, oldest first, in batches of bounded memory.
 *
 *     idle -> (notify) -> gathering -> reading records ---> storing them -> the next records ...... -> idle
 *                                          ^    |              |
 *                                          |    |              +-> the database is away or slow: pausing, longer each time
 *                                          |    +--------------+-> this segment fails: it is left alone for a time, and the
 *                                          |    |                  others go on (turns.ts)
 *                                          |    `-> its file is gone or cut short: told and counted, and done with
 *                                          +-------------------------------------------------------------------------
 *
 * What may heal is tried for ever; what cannot be stored becomes a dead letter (storing.ts).
 */
import { createBackoff } from '../../backoff.ts';
import type { Column } from '../../contract/contract.ts';
import { RidgelineError, reasonOf } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { RelayFacts } from '../../metrics/service-samples.ts';
import { createOutage } from '../../outage.ts';
import { within } from '../../within.ts';
import type { PredictionStore } from '../prediction-store.ts';
import { hasPending, type Segment } from '../spool/segment.ts';
import { createAdoption } from './adoption.ts';
import type { DeadLetters } from './dead-letters.ts';
import { createSources, type SegmentSource } from './sources.ts';
import { createSpoolReader, type NextRecords } from './spool-reader.ts';
import { createStoring } from './storing.ts';
import { createTurns } from './turns.ts';

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
  /** Of the records of segments whose header is damaged. */
  assumedColumns: readonly Column[];
  log: Log;
}

export interface Backlog {
  /** Answered predictions that are not in Postgres yet. */
  rows: number;
  /** Since the oldest of them was answered; null when none waits. */
  oldestAgeSeconds: number | null;
  /** Records set aside since the start. */
  deadLetters: number;
  /** Why something that waits could not be stored the last time; null when nothing has failed since. */
  lastError: string | null;
  /** Attempts that have failed in a row, of what has failed most often. */
  failures: number;
}

export interface Relay {
  /** Says that records have been appended. */
  notify(): void;
  backlog(): Backlog;
  /** What has become of its statements since the start. */
  facts(): RelayFacts;
  /** Relays what is left, as long as Postgres takes it and `withinMs` lasts. The rest stays in the spool. */
  close(withinMs: number): Promise<void>;
}

/** Records gather this long, so that a trickle becomes one statement for many rows. */
const GATHER_MS = 100;
const FIRST_PAUSE_MS = 200;
/** The latest that Postgres is tried again once it is back. */
const LONGEST_PAUSE_MS = 5_000;
/** Segments that fail one after another until the database is left alone for a time, as if it were away. */
const FAILED_IN_A_ROW = 8;
const LONGEST_IDLE_MS = 10_000;

export function startRelay({ sources, adopt, store, deadLetters, assumedColumns, log }: RelayOptions): Relay {
  const reader = createSpoolReader(assumedColumns);
  const storing = createStoring({ store, deadLetters, log });
  const spools = createSources(sources, log);
  const turns = createTurns(spools.segments);
  const adoption = createAdoption({ adopt, log, stir });
  const outage = createOutage({
    log,
    level: 'warn',
    begins: 'predictions cannot be moved to Postgres; they wait in the spool',
    ends: 'predictions are moved to Postgres again',
  });
  const obstacle = createOutage({
    log,
    level: 'warn',
    begins: 'a part of the spool cannot be moved to Postgres; it waits, and is tried again',
    ends: 'every part of the spool can be moved to Postgres again',
  });
  let away: { failures: number; reason: string } | undefined;
  const backoff = createBackoff({ firstMs: FIRST_PAUSE_MS, longestMs: LONGEST_PAUSE_MS, jitter: 0.25 });
  let failedInARow = 0;
  let closing = false;
  /** Whether something has come while no sleep could be ended for it. */
  let stirred = false;
  let wakeIdle: (() => void) | undefined;
  let interruptSleep: (() => void) | undefined;

  const running = run();

  async function run(): Promise<void> {
    while (true) {
      stirred = false;
      adoption.lookIfDue();
      const segment = turns.next();
      const outcome = segment ? await relayFrom(segment) : 'nothing';
      await spools.removeFinished();
      if (outcome === 'nothing') {
        if (closing && !adoption.isLooking()) return;
        await idle();
      } else if (outcome === 'database failed') {
        if (closing) return;
        await pauseAll();
      } else if (failedInARow >= FAILED_IN_A_ROW) {
        if (closing) return;
        await pauseAll();
      } else if (outcome === 'trickle' && !closing && !turns.next()?.sealed) await sleep(GATHER_MS);
    }
  }

  async function relayFrom(segment: Segment): Promise<'stored' | 'trickle' | 'failed' | 'database failed'> {
    let next: NextRecords;
    try {
      next = await reader.next(segment, storing.limit());
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return leaveAlone(segment, error);
      lose(segment, reasonOf(error));
      return 'stored';
    }
    const before = { limit: storing.limit(), rows: segment.pendingRows };
    try {
      await storing.store(segment, next);
    } catch (error) {
      // A connection that was given up may still send from the old buffer.
      reader.renewMemory();
      if (error instanceof RidgelineError || store.failureOf(error) === 'blocked') return leaveAlone(segment, error);
      const isFurther = segment.pendingRows < before.rows;
      away = { failures: isFurther ? 1 : (away?.failures ?? 0) + 1, reason: reasonOf(error) };
      // No pause when fewer are tried next: a slow statement has been waited for already.
      if (isFurther || storing.limit() < before.limit) backoff.reset();
      outage.begin(error);
      return 'database failed';
    }
    if (next.isCutShort) lose(segment, 'the file is shorter than what was written to it');
    turns.succeeded(segment);
    away = undefined;
    failedInARow = 0;
    backoff.reset();
    outage.end();
    if (!turns.worst()) obstacle.end();
    return next.rows < storing.limit() ? 'trickle' : 'stored';
  }

  function leaveAlone(segment: Segment, error: unknown): 'failed' {
    turns.failed(segment, error);
    failedInARow++;
    obstacle.begin(error);
    return 'failed';
  }

  /** Gives up records whose file is gone, rather than look for them for ever. */
  function lose(segment: Segment, reason: string): void {
    const { path, pendingRows } = segment;
    log.error({ reason, file: path, rows: pendingRows }, 'a file of the spool has lost predictions that were answered');
    segment.seal();
    const bytes = segment.writtenBytes - segment.relayedBytes;
    segment.relayed({ bytes, rows: pendingRows, newestAt: undefined });
  }

  function stir(): void {
    stirred = true;
    wakeIdle?.();
  }

  async function pauseAll(): Promise<void> {
    failedInARow = 0;
    await sleep(backoff.next());
  }

  async function idle(): Promise<void> {
    // Something came during the search for records, which may have missed it.
    if (stirred) return await sleep(GATHER_MS);
    const asleep = sleep(Math.min(adoption.untilDue(), turns.untilDue(), LONGEST_IDLE_MS));
    wakeIdle = interruptSleep;
    await asleep;
  }

  function sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        // A late call for this sleep must not end another one that has begun.
        if (wakeIdle === end) wakeIdle = undefined;
        if (interruptSleep === end) interruptSleep = undefined;
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      interruptSleep = end;
    });
  }

  return {
    notify() {
      stirred = true;
      if (!wakeIdle) return;
      setTimeout(wakeIdle, GATHER_MS);
      wakeIdle = undefined;
    },
    backlog() {
      const pending = spools.segments().filter((segment) => hasPending(segment) && segment.pendingRows > 0);
      const oldestAt = Math.min(...pending.map((segment) => segment.oldestAt));
      const troubles = [pending.length > 0 ? away : undefined, turns.worst()].filter((one) => !!one);
      return {
        rows: pending.reduce((sum, { pendingRows }) => sum + pendingRows, 0),
        oldestAgeSeconds: pending.length > 0 ? Math.max(0, (performance.now() - oldestAt) / 1000) : null,
        deadLetters: deadLetters.count(),
        lastError: troubles[0]?.reason ?? null,
        failures: Math.max(0, ...troubles.map(({ failures }) => failures)),
      };
    },
    facts: storing.facts,
    async close(withinMs) {
      closing = true;
      turns.retryAll();
      interruptSleep?.();
      await within(withinMs, running, () => undefined);
    },
  };
}
