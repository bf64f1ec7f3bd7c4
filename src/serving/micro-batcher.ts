/**
 * Lets jobs that arrive together share one run. It knows the function that runs a batch, and nothing about the jobs.
 *
 * There is no timer and no window: jobs that arrive in a turn of the event loop run at its end. A lone job waits for no
 * other, and batches grow with the load.
 *
 *     submitted -> queued, until the turn ends -> running, beside other batches -> settled
 *
 * No batch waits for another: one that hangs, for example on a silent database, holds up its own jobs alone. Limits count
 * the sizes of jobs (rows), which is what costs; a job is never split. When too much is pending, a job is refused at once,
 * because a caller stops waiting sooner than it would be answered.
 */

export interface MicroBatcherOptions<Job, Result> {
  /** Answers jobs in their order. An Error in a place rejects that job alone; a rejection rejects the whole batch. */
  runBatch: (jobs: Job[]) => Promise<(Result | Error)[]>;
  sizeOf: (job: Job) => number;
  /** Whether a job may be in the run of one that came before it. */
  mayShareRun: (first: Job, later: Job) => boolean;
  /** The most that one run takes; a single larger job runs alone. */
  maxRunSize: number;
  /** The sum of the sizes of jobs that are not settled. */
  maxPendingSize: number;
  /** Makes the error for a job that is refused. */
  refuse: () => Error;
  /** Told how many seconds each job has waited for its run. */
  waited: (seconds: number) => void;
}

export interface MicroBatcher<Job, Result> {
  submit(job: Job): Promise<Result>;
  /** Whether a job of this size would be taken now. */
  hasRoomFor(size: number): boolean;
  /** Resolves when every job is settled. */
  drain(): Promise<void>;
}

interface Pending<Job, Result> {
  job: Job;
  size: number;
  /** On the clock of performance.now(). */
  submittedAt: number;
  resolve: (result: Result) => void;
  reject: (error: Error) => void;
}

export function createMicroBatcher<Job, Result>(options: MicroBatcherOptions<Job, Result>): MicroBatcher<Job, Result> {
  const { runBatch, sizeOf, maxPendingSize, refuse, waited } = options;
  let queue: Pending<Job, Result>[] = [];
  let pendingSize = 0;
  const drained: (() => void)[] = [];

  function endTurn(): void {
    const batches = cutIntoBatches(queue, options);
    queue = [];
    for (const batch of batches) void run(batch);
  }

  async function run(batch: Pending<Job, Result>[]): Promise<void> {
    const now = performance.now();
    for (const { submittedAt } of batch) waited((now - submittedAt) / 1000);
    let results: (Result | Error)[];
    try {
      results = await runBatch(batch.map(({ job }) => job));
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error('The batch failed', { cause });
      results = batch.map(() => error);
    }
    batch.forEach(({ size, resolve, reject }, i) => {
      pendingSize -= size;
      const result = results[i]!;
      if (result instanceof Error) reject(result);
      else resolve(result);
    });
    if (pendingSize === 0) for (const resolve of drained.splice(0)) resolve();
  }

  // A job larger than the limit may still enter when nothing is pending; it could never run otherwise.
  const hasRoomFor = (size: number) => pendingSize === 0 || pendingSize + size <= maxPendingSize;

  return {
    hasRoomFor,
    submit(job) {
      const size = sizeOf(job);
      if (!hasRoomFor(size)) return Promise.reject(refuse());
      pendingSize += size;
      return new Promise((resolve, reject) => {
        queue.push({ job, size, submittedAt: performance.now(), resolve, reject });
        if (queue.length === 1) setImmediate(endTurn);
      });
    },
    drain: () => (pendingSize > 0 ? new Promise((resolve) => drained.push(resolve)) : Promise.resolve()),
  };
}

/** Batches of jobs in their order, each as full as it may be. */
function cutIntoBatches<Job, Queued extends { job: Job; size: number }>(
  queue: readonly Queued[],
  { maxRunSize, mayShareRun }: Pick<MicroBatcherOptions<Job, unknown>, 'maxRunSize' | 'mayShareRun'>,
): Queued[][] {
  const batches: Queued[][] = [];
  let room = 0;
  for (const next of queue) {
    const batch = batches.at(-1);
    if (batch && next.size <= room && mayShareRun(batch[0]!.job, next.job)) {
      batch.push(next);
      room -= next.size;
    } else {
      batches.push([next]);
      room = maxRunSize - next.size;
    }
  }
  return batches;
}
