/** What this process says of the service to operators; it asks the others of the service, and answers them. */
import type { Probe } from '../database/probe.ts';
import { type ErrorCode, RidgelineError } from '../errors.ts';
import { describeHealth, type HealthFacts } from '../health.ts';
import type { Operations } from '../http/admin.ts';
import type { AnswerCounts } from '../http/plugins/answer-counts.ts';
import type { Drain } from '../http/plugins/drain.ts';
import type { JobCounts } from '../metrics/job-counts.ts';
import { createProcessSamples } from '../metrics/process-samples.ts';
import { combine, type Samples } from '../metrics/samples.ts';
import { samplesOf } from '../metrics/service-samples.ts';
import type { PredictionLog } from '../prediction-log/prediction-log.ts';
import type { ServedPipeline } from '../registry/served-pipeline.ts';
import type { Serving } from '../serving/serving.ts';
import type { DatabaseOperations } from './database-operations.ts';
import { gatherFromAllWorkers } from './gather.ts';
import type { GroundTruth } from './ground-truth-operations.ts';
import type { MonitoringWatch } from './monitoring-watch.ts';

export interface OperationsOptions extends DatabaseOperations {
  counts: Pick<AnswerCounts, 'facts'>;
  drain: Pick<Drain, 'isDraining'>;
  served: Pick<ServedPipeline<{ pipelineVersion: string }>, 'current' | 'rejection' | 'facts'>;
  serving: Pick<Serving, 'facts'>;
  predictionLog: Pick<PredictionLog, 'facts' | 'relayed' | 'notReadyReason'>;
  probeDatabase: Probe;
  groundTruth: GroundTruth;
  watch: Pick<MonitoringWatch, 'samples' | 'alarms'>;
  /** Of the jobs that run in this process. */
  jobs: Pick<JobCounts, 'samples'>;
  /** How many lines of the log could not be written. */
  droppedLines: () => number;
}

export function createOperations(options: OperationsOptions): Operations {
  const { counts, drain, served, serving, predictionLog, probeDatabase, droppedLines } = options;
  const { pipelines, predictions, groundTruth, monitoring, watch, jobs } = options;
  const processSamples = createProcessSamples({ droppedLines });

  const gatherHealth = gatherFromAllWorkers<HealthFacts>('health', async () => {
    const rejection = served.rejection();
    return {
      databaseFault: await probeDatabase(),
      servedVersion: served.current()?.pipelineVersion ?? null,
      refusedVersion: rejection ? { version: rejection.pipelineVersion, reason: rejection.reason } : null,
      predictionLog: predictionLog.facts(),
      alarms: watch.alarms(),
    };
  });

  const gatherSamples = gatherFromAllWorkers<Samples>('samples', async () => {
    const facts = {
      answers: counts.facts(),
      serving: serving.facts(),
      predictionLog: predictionLog.facts(),
      relay: predictionLog.relayed(),
      pipeline: served.facts(),
      labels: groundTruth.facts(),
    };
    return combine([samplesOf(facts), watch.samples(), jobs.samples(), await processSamples()]);
  });

  function notReady(): ErrorCode | null {
    if (drain.isDraining()) return 'shutting_down';
    if (!served.current()) return 'no_pipeline';
    return predictionLog.notReadyReason() === undefined ? null : 'prediction_not_stored';
  }
  // For the admin port of a primary; on its own port each process answers for itself.
  gatherFromAllWorkers<ErrorCode | null>('readiness', async () => notReady());

  return {
    health: async () => describeHealth(await gatherHealth()),
    async notReady() {
      const code = notReady();
      return code === null ? undefined : new RidgelineError(code);
    },
    samples: async () => combine((await gatherSamples()).facts),
    pipelines,
    predictions,
    monitoring,
    groundTruth,
  };
}
