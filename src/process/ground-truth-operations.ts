/**
 * What callers and operators tell of the truth over HTTP, with connections of its own: neither predictions nor /health wait
 * behind labels, and labels that Postgres takes slowly wait here, not in it.
 */
import type { Clock } from '../clock.ts';
import { createPool } from '../database/pool.ts';
import { RidgelineError } from '../errors.ts';
import { type Label, type LabelResult, labelResults } from '../ground-truth/label.ts';
import { recordLabels } from '../ground-truth/record-labels.ts';
import type { PredictionLogFacts } from '../health.ts';
import type { GroundTruthOperations } from '../http/routes/ground-truth.ts';
import type { Log } from '../log.ts';
import type { LabelFacts } from '../metrics/service-samples.ts';
import { createOutage } from '../outage.ts';
import { overloaded } from '../serving/serving.ts';
import { within } from '../within.ts';
import { createBoundedQueue } from './bounded-queue.ts';
import { usable } from './usable-database.ts';

export interface GroundTruthOptions {
  databaseUrl: string;
  /** PREDICTION_LOG. */
  predictionLog: PredictionLogFacts['mode'];
  clock: Clock;
  log: Log;
}

export interface GroundTruth extends GroundTruthOperations {
  /** Labels by what they were, since the start. */
  facts(): LabelFacts;
  /** To be called when no request is under way: what Postgres has not done by then is not waited for. */
  close(withinMs: number): Promise<void>;
}

const CONNECTIONS = 4;
/** Some 20 MB of memory, and about as many as Postgres takes within the limit below. */
const MOST_PENDING_LABELS = 100_000;
/** A little less than the 10 s that proxies wait for an answer. */
const LONGEST_WAIT_MS = 9_000;
const LONGEST_CLOSE_MS = 500;

export function createGroundTruth({ databaseUrl, predictionLog, clock, log }: GroundTruthOptions): GroundTruth {
  const onError = (err: Error) => log.debug({ err }, 'a database connection broke');
  const pool = createPool({ url: databaseUrl, onError, max: CONNECTIONS });
  const queue = createBoundedQueue({
    concurrency: CONNECTIONS,
    maxPendingSize: MOST_PENDING_LABELS,
    limitMs: LONGEST_WAIT_MS,
    stalled: () => new RidgelineError('database_unavailable', { cause: new Error('it does not answer in time') }),
  });
  const outage = createOutage({
    log,
    level: 'warn',
    begins: 'labels cannot be stored; callers are told to send them again',
    ends: 'labels are stored again',
  });
  const counts = new Map<LabelResult, number>(labelResults.map((result) => [result, 0]));
  const notStored = new RidgelineError('predictions_not_stored');
  let closed = false;

  async function store(labels: readonly Label[], now: Date): Promise<LabelResult[]> {
    if (closed) throw new RidgelineError('shutting_down');
    const results = await recordLabels(pool, labels, now);
    for (const result of results) counts.set(result, counts.get(result)! + 1);
    outage.end();
    return results;
  }

  return {
    clock,
    refusal() {
      if (predictionLog === 'off') return notStored;
      return queue.hasRoomFor(1) ? undefined : overloaded;
    },
    async record(labels, now) {
      try {
        return await queue.run(labels.length, () => usable(() => store(labels, now)));
      } catch (error) {
        if (error instanceof RidgelineError && error.code === 'database_unavailable') outage.begin(error.cause);
        throw error;
      }
    },
    facts: () => [...counts],
    async close(withinMs) {
      closed = true;
      await within(Math.min(LONGEST_CLOSE_MS, withinMs), pool.end(), () => undefined);
    },
  };
}
