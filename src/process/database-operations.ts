/** What operators ask of the database and do in it over HTTP, with connections of their own. */
import type { Operations } from '../http/admin.ts';
import { createMonitoringOperations } from './monitoring-operations.ts';
import { createPipelineOperations, type PipelineOperationsOptions } from './pipeline-operations.ts';
import { createPredictionOperations } from './prediction-operations.ts';

export type DatabaseOperations = Pick<Operations, 'pipelines' | 'predictions' | 'monitoring'>;

/** The same in whichever process: each rejects with `database_unavailable` while the database is away. */
export function createDatabaseOperations(options: PipelineOperationsOptions): DatabaseOperations {
  return {
    pipelines: createPipelineOperations(options),
    predictions: createPredictionOperations(options),
    monitoring: createMonitoringOperations(options),
  };
}
