/**
 * The data plane: the one function by which every transport has rows answered. What it bounds, and why, is here.
 */
import { RidgelineError } from '../errors.ts';
import type { FeatureRows } from '../feature-schema.ts';
import type { Outcome } from './answer.ts';
import { type BatchAnswererOptions, createBatchAnswerer } from './answer-batch.ts';
import { createMicroBatcher, type Settle } from './micro-batcher.ts';

export interface Serving {
  /** Answers the rows of one request; `settle` is called once, with an Error where the service cannot answer. */
  answer(rows: FeatureRows, settle: Settle<Outcome>): void;
  /** Whether so many rows would be taken now. */
  hasRoomFor(rows: number): boolean;
  /** Resolves when everybody has been answered. */
  drain(): Promise<void>;
}

export interface ServingOptions extends Omit<BatchAnswererOptions, 'maxRows'> {
  /** The most rows that one request may bring. */
  maxRequestRows: number;
}

/** Rows of one run. More would hold the event loop longer than a millisecond. */
const RUN_ROWS = 2048;
/** Rows that are worth a run of their own: its fixed cost is then less than a tenth of what it costs to answer them. */
const EAGER_ROWS = 64;
/** Rows that may wait for their answer, in runs: beyond it a caller is better served by another instance, or later. */
const PENDING_RUNS = 8;
/** Rows that run in one turn of the event loop: a tenth of a second's work, much less than Retry-After asks to wait. */
const TURN_ROWS = 100_000;

/** Made once: where thousands a second are refused, the stack of each would cost more than the refusal. */
export const overloaded = new RidgelineError('overloaded');

export function createServing({ maxRequestRows, ...options }: ServingOptions): Serving {
  const largestRun = Math.max(RUN_ROWS, maxRequestRows);
  const batcher = createMicroBatcher<FeatureRows, Outcome>({
    runBatch: createBatchAnswerer({ ...options, maxRows: largestRun }),
    sizeOf: ({ rows }) => rows,
    eagerSize: EAGER_ROWS,
    maxRunSize: RUN_ROWS,
    maxPendingSize: PENDING_RUNS * largestRun,
    maxTurnSize: TURN_ROWS,
    refuse: () => overloaded,
  });
  return { answer: batcher.submit, hasRoomFor: batcher.hasRoomFor, drain: batcher.drain };
}
