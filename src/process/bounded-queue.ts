/**
 * Work of which only so much can be done at once, such as with a pool of connections. What comes beyond that waits in line for
 * a limited time, and what the line has no room for is refused at once. Sizes (labels, rows) say how much memory waits.
 *
 *     refused <- run -> waiting -> working -> settled
 *                          `-> given up
 */
import { RidgelineError } from '../errors.ts';
import { within } from '../within.ts';

export interface BoundedQueueOptions {
  /** How much is done at once. */
  concurrency: number;
  /** The sum of the sizes of all that waits or works. One that is larger is taken alone. */
  maxPendingSize: number;
  /** Nobody waits longer than this. What works by then keeps its place until it ends. */
  limitMs: number;
  /** The error for what does not end in time, and for what waited in vain while nothing was done. */
  stalled: () => Error;
}

export interface BoundedQueue {
  hasRoomFor(size: number): boolean;
  /** Rejects with `overloaded` where there is no room, or no turn in time though others have had theirs of late. */
  run<Result>(size: number, work: () => Promise<Result>): Promise<Result>;
}

export function createBoundedQueue(options: BoundedQueueOptions): BoundedQueue {
  const { concurrency, maxPendingSize, limitMs, stalled } = options;
  const waiting = new Set<() => void>();
  let working = 0;
  let pendingSize = 0;
  /** When something was done last, on the clock of performance.now(). */
  let doneAt = Number.NEGATIVE_INFINITY;

  const hasRoomFor = (size: number) => pendingSize === 0 || pendingSize + size <= maxPendingSize;

  /** Its place goes to who has waited longest. */
  function leave(size: number): void {
    pendingSize -= size;
    const [first] = waiting;
    if (!first) {
      working--;
      return;
    }
    waiting.delete(first);
    first();
  }

  return {
    hasRoomFor,
    async run(size, work) {
      if (!hasRoomFor(size)) throw new RidgelineError('overloaded');
      pendingSize += size;
      let start!: () => void;
      const turn = new Promise<void>((resolve) => {
        start = resolve;
      });
      if (working < concurrency) {
        working++;
        start();
      } else waiting.add(start);
      async function runInTurn() {
        try {
          await turn;
          const result = await work();
          doneAt = performance.now();
          return result;
        } finally {
          leave(size);
        }
      }
      return await within(limitMs, runInTurn(), () => {
        if (!waiting.delete(start)) throw stalled();
        pendingSize -= size;
        throw performance.now() - doneAt < limitMs / 2 ? new RidgelineError('overloaded') : stalled();
      });
    },
  };
}
