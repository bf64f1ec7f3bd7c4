/**
 * Lets jobs that arrive together share one run. It knows a function that runs a batch, and nothing of what the jobs are.
 *
 * There is no timer and no window. What has come in a turn of the event loop runs at its end; a run starts earlier where
 * enough has come to be worth one, so that hundreds of callers who ask in one turn are answered in portions, while what
 * they sent is still in the caches. So a lone job waits for nobody, and batches grow by themselves as load does.
 *
 *     submitted -> queued, until the end of the turn or enough -> under way, beside what is under way already -> settled
 *
 * Nobody waits for the batch of others: one that hangs, such as on a database that has gone silent, holds up its own jobs
 * alone. Limits count what costs: the sizes of jobs (rows), not jobs. A job is never split. When too much is not settled
 * yet a job is refused at once, because to wait longer than a caller does helps nobody. So it is where very much has run
 * in this turn already: whoever comes late in a long turn has waited for all of it.
 *
 * Results are handed over by a call and not by a promise. A promise keeps its value: one that has waited through some
 * garbage collections is old, and then what it was given, however short its use, stays until the next full collection.
 */

export interface MicroBatcherOptions<Job, Result> {
  /** Answers jobs in their order. An Error in a place rejects that job alone; a rejection rejects the whole batch. */
  runBatch: (jobs: Job[]) => Promise<(Result | Error)[]>;
  sizeOf: (job: Job) => number;
  /** So much is worth a run before the end of the turn. */
  eagerSize: number;
  /** A run is closed before it would pass this; a single larger job runs alone. */
  maxRunSize: number;
  /** The sum of the sizes of jobs that are not settled. */
  maxPendingSize: number;
  /** When jobs of this size altogether have run in a turn of the event loop, others of the turn are refused. */
  maxTurnSize: number;
  /** Makes the error for a job that is refused. */
  refuse: () => Error;
}

/** Takes what became of a job. It is called once, and must not throw. */
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

/** In order, as many as fit into a batch. */
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
