/**
 * The data plane: the one function through which every transport gets rows answered, and the limits it works under.
 */
import { RidgelineError } from '../errors.ts';
import type { ServingFacts } from '../metrics/service-samples.ts';
import { type BatchAnswererOptions, createBatchAnswerer } from './answer-batch.ts';
import { createMicroBatcher } from './micro-batcher.ts';
import type { Job, Outcome } from './outcome.ts';
import { createServingCounts } from './serving-counts.ts';

export interface Serving {
  /** Answers the rows of one request. Rejects where the service cannot answer. */
  answer(job: Job): Promise<Outcome>;
  /** Whether a request of this many rows would be taken now. */
  hasRoomFor(rows: number): boolean;
  /** Resolves when everybody has been answered. */
  drain(): Promise<void>;
  /** What has been counted since the start. */
  facts(): ServingFacts;
}

export interface ServingOptions extends Omit<BatchAnswererOptions, 'maxRows' | 'maxJoinedRows' | 'counts'> {
  /** The most rows that one request may bring. */
  maxRequestRows: number;
}

/** Rows of one run, about a millisecond of the event loop: decision 0004. */
const RUN_ROWS = 2048;
/** Rows that may be pending, in runs. Beyond it a caller is better served by another instance, or later. */
const PENDING_RUNS = 8;

/** One shared instance: capturing a stack for each refusal would cost more than the refusal. */
export const overloaded = new RidgelineError('overloaded');

export function createServing({ maxRequestRows, ...options }: ServingOptions): Serving {
  const largestRun = Math.max(RUN_ROWS, maxRequestRows);
  const counts = createServingCounts();
  const batcher = createMicroBatcher<Job, Outcome>({
    runBatch: createBatchAnswerer({ ...options, maxRows: largestRun, maxJoinedRows: RUN_ROWS, counts }),
    sizeOf: ({ rows }) => rows,
    mayShareRun: (first, later) => first.contract === later.contract,
    maxRunSize: RUN_ROWS,
    maxPendingSize: PENDING_RUNS * largestRun,
    refuse: () => overloaded,
    waited: counts.waited,
  });
  return { answer: batcher.submit, hasRoomFor: batcher.hasRoomFor, drain: batcher.drain, facts: counts.facts };
}
