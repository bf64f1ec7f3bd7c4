/**
 * Lets jobs that arrive together share one run. It knows a function that runs a batch, and nothing of what the jobs are.
 *
 * There is no timer and no window. A job that finds the batcher idle starts a run at the end of this turn of the event
 * loop, together with every other job of the turn; a run starts earlier where enough has come to be worth one, so that
 * hundreds of callers who ask in one turn are answered in portions, while what they sent is still in the caches. Jobs that
 * arrive while a run is under way share the next one. So a lone job waits for nobody, and batches grow by themselves as
 * load does. Where more waits than a batch holds, the batches run side by side.
 *
 *     idle -> (first job) -> gathering, until the end of the turn or enough -> running -> running what has come ... -> idle
 *
 * Limits count what costs: the sizes of jobs (rows), not jobs. A job is never split. When the queue is full a job is
 * refused at once, because to wait longer than a caller does helps nobody. So it is where very much has run in this turn
 * already: whoever comes late in a long turn has waited for all of it.
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
  /** A batch is closed before it would pass this; a single larger job runs alone. */
  maxBatchSize: number;
  /** The sum of the sizes of waiting jobs. */
  maxQueueSize: number;
  /** The sum of the sizes of the jobs that run in one turn of the event loop. */
  maxTurnSize: number;
  /** Makes the error for a job that finds the queue full. */
  refuse: () => Error;
}

/** Takes what became of a job. It is called once, and must not throw. */
export type Settle<Result> = (result: Result | Error) => void;

export interface MicroBatcher<Job, Result> {
  submit(job: Job, settle: Settle<Result>): void;
  /** Whether a job of this size would be taken now. */
  hasRoomFor(size: number): boolean;
  /** Resolves when no job waits or runs. */
  drain(): Promise<void>;
}

interface Waiting<Job, Result> {
  job: Job;
  settle: Settle<Result>;
}

export function createMicroBatcher<Job, Result>(options: MicroBatcherOptions<Job, Result>): MicroBatcher<Job, Result> {
  const { runBatch, sizeOf, eagerSize, maxBatchSize, maxQueueSize, maxTurnSize, refuse } = options;
  let queue: Waiting<Job, Result>[] = [];
  let queuedSize = 0;
  let ranInTurn = 0;
  let endIsAwaited = false;
  let active = false;
  const drained: (() => void)[] = [];

  async function runUntilEmpty(): Promise<void> {
    active = true;
    while (queue.length > 0) await Promise.all(takeBatches().map(run));
    active = false;
    for (const resolve of drained.splice(0)) resolve();
  }

  function takeBatches(): Waiting<Job, Result>[][] {
    const batches: Waiting<Job, Result>[][] = [];
    let room = 0;
    for (const waiting of queue) {
      const size = sizeOf(waiting.job);
      if (batches.length === 0 || size > room) {
        batches.push([]);
        room = maxBatchSize;
      }
      batches.at(-1)!.push(waiting);
      room -= size;
    }
    ranInTurn += queuedSize;
    awaitEndOfTurn();
    queue = [];
    queuedSize = 0;
    return batches;
  }

  function awaitEndOfTurn(): void {
    if (!endIsAwaited) setImmediate(endTurn);
    endIsAwaited = true;
  }

  function endTurn(): void {
    if (!active && queue.length > 0) void runUntilEmpty();
    ranInTurn = 0;
    endIsAwaited = false;
  }

  async function run(batch: Waiting<Job, Result>[]): Promise<void> {
    let results: (Result | Error)[];
    try {
      results = await runBatch(batch.map(({ job }) => job));
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error('The batch failed', { cause });
      results = batch.map(() => error);
    }
    batch.forEach(({ settle }, i) => {
      settle(results[i]!);
    });
  }

  // A job larger than a limit may still enter an empty queue, or be the first of a turn; it could never run otherwise.
  const hasRoomFor = (size: number) =>
    (queuedSize === 0 || queuedSize + size <= maxQueueSize) && (ranInTurn === 0 || ranInTurn + size <= maxTurnSize);

  return {
    hasRoomFor,
    submit(job, settle) {
      const size = sizeOf(job);
      if (!hasRoomFor(size)) {
        settle(refuse());
        return;
      }
      queue.push({ job, settle });
      queuedSize += size;
      awaitEndOfTurn();
      if (!active && queuedSize >= eagerSize) void runUntilEmpty();
    },
    drain: () => (active || queue.length > 0 ? new Promise((resolve) => drained.push(resolve)) : Promise.resolve()),
  };
}
