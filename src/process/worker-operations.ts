/** What a primary can say of its workers to operators; some of it the workers ask for, to say it on their own port. */
import type { Config } from '../config.ts';
import { type ErrorCode, RidgelineError } from '../errors.ts';
import { describeHealth, describeSilence, type HealthFacts } from '../health.ts';
import type { Operations } from '../http/admin.ts';
import { combine, onlyCounts, type Samples } from '../metrics/samples.ts';
import { labelSamples } from '../metrics/service-samples.ts';
import type { DatabaseOperations } from './database-operations.ts';
import { gatherFromWorkers } from './gather.ts';
import type { GroundTruth } from './ground-truth-operations.ts';

export interface WorkerOperationsOptions extends DatabaseOperations {
  config: Pick<Config, 'workers' | 'predictionLog'>;
  /** Why the database cannot be used, or null. */
  probeDatabase: () => Promise<string | null>;
  /** With which the primary itself stores labels. */
  groundTruth: GroundTruth;
  /** Of the primary itself. */
  ownSamples: () => Promise<Samples>;
}

/** To be called before the first worker starts, as they answer to it. */
export function gatherOperations(options: WorkerOperationsOptions): Operations {
  const { config, probeDatabase, ownSamples, pipelines, predictions, groundTruth, monitoring } = options;
  const { workers: count, predictionLog: mode } = config;
  const gatherHealth = gatherFromWorkers<HealthFacts>('health', { count });
  const gatherReadiness = gatherFromWorkers<ErrorCode | null>('readiness', { count });
  const gatherSamples = gatherFromWorkers<Samples>('samples', {
    count,
    own: async () => combine([await ownSamples(), labelSamples(groundTruth.facts())]),
    keep: (last, kept = {}) => combine([kept, onlyCounts(last)]),
  });
  return {
    async health() {
      const gathered = await gatherHealth();
      return gathered ? describeHealth(gathered) : describeSilence({ mode, databaseFault: await probeDatabase() });
    },
    // As in health.ts the worst decides: the kernel gives callers to every worker.
    async notReady() {
      const { facts } = (await gatherReadiness()) ?? { facts: ['no_pipeline' as const] };
      const code = facts.find((one) => one !== null);
      return code ? new RidgelineError(code) : undefined;
    },
    samples: async () => combine((await gatherSamples())?.facts ?? []),
    pipelines,
    predictions,
    groundTruth,
    monitoring,
  };
}
