/**
 * Whose turn it is. Segments are relayed oldest first; one that fails for reasons of its own is left alone for a time, longer
 * each time, so that it holds up no other. After a failure segments that have not failed come first, after a success those
 * that are due again, so that neither kind waits for the end of the other. When one that has failed succeeds, something
 * has been mended, and all are due.
 */
import { type Backoff, createBackoff } from '../../backoff.ts';
import { reasonOf } from '../../errors.ts';
import { hasPending, type Segment } from '../spool/segment.ts';

export interface Turns {
  /** Undefined when nothing waits, or only what is left alone. */
  next(): Segment | undefined;
  failed(segment: Segment, error: unknown): void;
  succeeded(segment: Segment): void;
  /** All are due now. */
  retryAll(): void;
  /** Milliseconds until something that is left alone is due. */
  untilDue(): number;
  /** What has failed most often in a row. */
  worst(): { failures: number; reason: string } | undefined;
}

const FIRST_PAUSE_MS = 200;
/** The latest that a segment is tried again once what held it up is mended. */
const LONGEST_PAUSE_MS = 15_000;

export function createTurns(segments: () => readonly Segment[]): Turns {
  const leftAlone = new Map<Segment, { failures: number; reason: string; dueAt: number; backoff: Backoff }>();
  let hasFailed = false;

  /** Forgets what its owner has removed meanwhile. */
  function pending(): Segment[] {
    const found = segments().filter(hasPending);
    const there = leftAlone.size > 0 ? new Set(found) : undefined;
    for (const segment of leftAlone.keys()) if (!there?.has(segment)) leftAlone.delete(segment);
    return found;
  }

  function firstDue(): Segment | undefined {
    const [first] = [...leftAlone].sort(([, a], [, b]) => a.dueAt - b.dueAt);
    return first && first[1].dueAt <= performance.now() ? first[0] : undefined;
  }

  return {
    next() {
      const untried = pending().find((segment) => !leftAlone.has(segment));
      return hasFailed ? (untried ?? firstDue()) : (firstDue() ?? untried);
    },
    failed(segment, error) {
      hasFailed = true;
      const before = leftAlone.get(segment);
      const backoff = before?.backoff ?? createBackoff({ firstMs: FIRST_PAUSE_MS, longestMs: LONGEST_PAUSE_MS });
      leftAlone.set(segment, {
        failures: (before?.failures ?? 0) + 1,
        reason: reasonOf(error),
        dueAt: performance.now() + backoff.next(),
        backoff,
      });
    },
    succeeded(segment) {
      hasFailed = false;
      if (leftAlone.delete(segment)) this.retryAll();
    },
    retryAll() {
      for (const one of leftAlone.values()) one.dueAt = 0;
    },
    untilDue() {
      const dueAt = Math.min(...[...leftAlone.values()].map((one) => one.dueAt));
      return Math.max(0, dueAt - performance.now());
    },
    worst() {
      return [...leftAlone.values()].reduce<{ failures: number; reason: string } | undefined>(
        (worst, one) => (one.failures > (worst?.failures ?? 0) ? one : worst),
        undefined,
      );
    },
  };
}
