/** What the parts of the service have counted, as samples. */
import type { PredictionLogFacts } from '../health.ts';
import type { HistogramValue } from './histogram.ts';
import type { Samples } from './samples.ts';

/** What a port has answered since the start. */
export interface AnswerFacts {
  routes: readonly {
    route: string;
    statuses: readonly [status: number, answers: number][];
    durations: HistogramValue;
  }[];
  /** Problems, by their codes. */
  refusals: readonly [code: string, answers: number][];
}

export interface ServingFacts {
  /** How long requests have waited for a run. */
  waits: HistogramValue;
  runs: HistogramValue;
  /** That were answered with predictions. */
  rows: number;
}

/** Statements of the relay. */
export interface RelayFacts {
  stored: number;
  failed: number;
  refused: number;
}

export interface ServedPipelineFacts {
  served: { pipelineVersion: string; sha256: string } | undefined;
  /** How often a version has begun to be served. */
  swaps: number;
  /** How often a promotion was refused. */
  refusals: number;
}

/** Labels, by what they were. */
export type LabelFacts = readonly (readonly [result: string, labels: number])[];

export interface ServiceFacts {
  answers: AnswerFacts;
  serving: ServingFacts;
  predictionLog: PredictionLogFacts;
  relay: RelayFacts;
  pipeline: ServedPipelineFacts;
  labels: LabelFacts;
}

export function samplesOf({ answers, serving, predictionLog, relay, pipeline, labels }: ServiceFacts): Samples {
  const one = <Value>(value: Value) => [[[], value]] as const;
  const { served, swaps, refusals } = pipeline;
  return {
    ridgeline_http_requests_total: answers.routes.flatMap(({ route, statuses }) =>
      statuses.map(([status, count]) => [[route, String(status)], count] as const),
    ),
    ridgeline_http_request_duration_seconds: answers.routes.map(
      ({ route, durations }) => [[route], durations] as const,
    ),
    ridgeline_refusals_total: answers.refusals.map(([code, count]) => [[code], count] as const),
    ridgeline_inference_queue_duration_seconds: one(serving.waits),
    ridgeline_inference_run_duration_seconds: one(serving.runs),
    ridgeline_inference_rows_total: one(serving.rows),
    ridgeline_prediction_log_backlog_rows: one(predictionLog.rows),
    ridgeline_prediction_log_backlog_age_seconds: one(predictionLog.oldestAgeSeconds ?? 0),
    ridgeline_prediction_log_spool_bytes: one(predictionLog.bytes),
    ridgeline_prediction_log_spool_limit_bytes: one(predictionLog.limitBytes),
    ridgeline_dead_letters_total: one(predictionLog.deadLetters),
    ridgeline_relay_batches_total: [
      [['stored'], relay.stored],
      [['failed'], relay.failed],
      [['refused'], relay.refused],
    ],
    ridgeline_pipeline_swaps_total: [
      [['served'], swaps],
      [['refused'], refusals],
    ],
    ridgeline_pipeline_info: served ? [[[served.pipelineVersion, served.sha256], 1]] : [],
    ...labelSamples(labels),
  };
}

/** Also of a primary, which takes labels on the admin port. */
export function labelSamples(labels: LabelFacts): Samples {
  return { ridgeline_ground_truth_labels_total: labels.map(([result, count]) => [[result], count]) };
}
