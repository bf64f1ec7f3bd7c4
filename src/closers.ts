/**
 * What has been opened and must be closed: a stack, the last opened first. One that fails or hangs does not keep the
 * others open. Each is told how long it may take: its share of the time that is left, and the last one all of it, so
 * that all end in time.
 */
import { within } from './within.ts';

/** Closes one thing within so many milliseconds, or is left behind. */
export type Close = (withinMs: number) => unknown;

export interface Closers {
  /** From now on `close` is among what is closed; when that is under way or over, it follows at once. */
  push(close: Close, share?: number): void;
  /** Waits for what is being opened, and closes it then even if closing has begun meanwhile. */
  open<Opened>(
    opening: Promise<Opened>,
    close: (opened: Opened, withinMs: number) => unknown,
    share?: number,
  ): Promise<Opened>;
  /** Resolves, always, when all are closed or the time is over. */
  closeAll(withinMs: number, onFailure?: (error: unknown) => void): Promise<void>;
}

const HALF = 0.5;

export function createClosers(): Closers {
  const open: { close: Close; share: number }[] = [];
  let deadline = 0;
  let report: (error: unknown) => void = () => undefined;
  let closing: Promise<void> | undefined;

  async function closeEach(): Promise<void> {
    for (let last = open.pop(); last; last = open.pop()) {
      const left = Math.max(0, deadline - performance.now());
      await closeOne(last.close, open.length > 0 ? left * last.share : left).catch(report);
    }
  }

  function push(close: Close, share = HALF): void {
    open.push({ close, share });
    closing = closing?.then(closeEach);
  }

  return {
    push,
    async open(opening, close, share) {
      push(async (withinMs) => {
        // Whoever opened it gets the error.
        const opened = await opening.catch(() => undefined);
        if (opened !== undefined) await close(opened, withinMs);
      }, share);
      return opening;
    },
    async closeAll(withinMs, onFailure) {
      if (!closing) {
        deadline = performance.now() + withinMs;
        if (onFailure) report = onFailure;
        closing = closeEach();
      }
      for (let seen: unknown; seen !== closing; await closing) seen = closing;
    },
  };
}

async function closeOne(close: Close, milliseconds: number): Promise<void> {
  const closed = Promise.resolve(close(milliseconds)).then(() => undefined);
  await within(milliseconds, closed, () => {
    throw new Error(`not closed within ${Math.ceil(milliseconds)} ms`);
  });
}
