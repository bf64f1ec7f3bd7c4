/**
 * Lets jobs that arrive together share one run. It knows the function that runs a batch, and nothing about the jobs.
 *
 * There is no timer and no window. Jobs that arrive in a turn of the event loop run at its end. A run starts earlier once
 * enough is queued to be worth one, so that hundreds of callers in one turn are answered in portions, while their bodies
 * are still in the caches. A lone job waits for no other, and batches grow with the load.
 *
 *     submitted -> queued, until the turn ends or enough is queued -> running, beside other batches -> settled
 *
 * No batch waits for another: one that hangs, for example on a silent database, holds up its own jobs alone. Limits count
 * the sizes of jobs (rows), which is what costs; a job is never split. When too much is pending, a job is refused at once,
 * because a caller stops waiting sooner than it would be answered. The same holds when very much has run in this turn
 * already: a job that comes late in a long turn has waited for all of it.
 *
 * Results go to a callback: a promise that has waited may be in the old generation, and would keep its value there until
 * the next full collection (decision 0006).
 */

export interface MicroBatcherOptions<Job, Result> {
  /** Answers jobs in their order. An Error in a place rejects that job alone; a rejection rejects the whole batch. */
  runBatch: (jobs: Job[]) => Promise<(Result | Error)[]>;
  sizeOf: (job: Job) => number;
  /** A queue of this size runs before the end of the turn. */
  eagerSize: number;
  /** The most that one run takes; a single larger job runs alone. */
  maxRunSize: number;
  /** The sum of the sizes of jobs that are not settled. */
  maxPendingSize: number;
  /** Once this much has run in a turn of the event loop, later jobs of the turn are refused. */
  maxTurnSize: number;
  /** Makes the error for a job that is refused. */
  refuse: () => Error;
}

/** Receives the result of a job. It is called once, and must not throw. */
export type Settle<Result> = (result: Result | Error) => void;

export interface MicroBatcher<Job, Result> {
  submit(job: Job, settle: Settle<Result>): void;
  /** Whether a job of this size would be taken now. */
  hasRoomFor(size: number): boolean;
  /** Resolves when every job is settled. */
  drain(): Promise<void>;
}

interface Pending<Job, Result> {
  job: Job;
  size: number;
  settle: Settle<Result>;
}

export function createMicroBatcher<Job, Result>(options: MicroBatcherOptions<Job, Result>): MicroBatcher<Job, Result> {
  const { runBatch, sizeOf, eagerSize, maxRunSize, maxPendingSize, maxTurnSize, refuse } = options;
  let queue: Pending<Job, Result>[] = [];
  let queuedSize = 0;
  let pendingSize = 0;
  let ranInTurn = 0;
  let endIsAwaited = false;
  const drained: (() => void)[] = [];

  function runQueued(): void {
    const batches = cutIntoBatches(queue, maxRunSize);
    ranInTurn += queuedSize;
    queue = [];
    queuedSize = 0;
    for (const batch of batches) void run(batch);
  }

  function endTurn(): void {
    runQueued();
    ranInTurn = 0;
    endIsAwaited = false;
  }

  async function run(batch: Pending<Job, Result>[]): Promise<void> {
    let results: (Result | Error)[];
    try {
      results = await runBatch(batch.map(({ job }) => job));
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error('The batch failed', { cause });
      results = batch.map(() => error);
    }
    batch.forEach(({ size, settle }, i) => {
      pendingSize -= size;
      settle(results[i]!);
    });
    if (pendingSize === 0) for (const resolve of drained.splice(0)) resolve();
  }

  // A job larger than the limit may still enter when nothing is pending; it could never run otherwise.
  const hasRoomFor = (size: number) =>
    (pendingSize === 0 || pendingSize + size <= maxPendingSize) && ranInTurn < maxTurnSize;

  return {
    hasRoomFor,
    submit(job, settle) {
      const size = sizeOf(job);
      if (!hasRoomFor(size)) {
        settle(refuse());
        return;
      }
      queue.push({ job, size, settle });
      queuedSize += size;
      pendingSize += size;
      if (!endIsAwaited) setImmediate(endTurn);
      endIsAwaited = true;
      if (queuedSize >= eagerSize) runQueued();
    },
    drain: () => (pendingSize > 0 ? new Promise((resolve) => drained.push(resolve)) : Promise.resolve()),
  };
}

/** Batches of jobs in their order, each as full as it may be. */
function cutIntoBatches<Job extends { size: number }>(jobs: readonly Job[], maxRunSize: number): Job[][] {
  const batches: Job[][] = [];
  let room = 0;
  for (const job of jobs) {
    if (batches.length === 0 || job.size > room) {
      batches.push([]);
      room = maxRunSize;
    }
    batches.at(-1)!.push(job);
    room -= job.size;
  }
  return batches;
}
