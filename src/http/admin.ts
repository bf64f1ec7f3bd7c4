/**
 * The admin routes: what operators see and do. They are on the admin port; outside production, without one, on the public port.
 * GET /health, /livez and /readyz are on both, and registered beside these.
 */
import type { FastifyInstance } from 'fastify';
import type { Config } from '../config.ts';
import { type GroundTruthOperations, registerGroundTruthRoutes } from './routes/ground-truth.ts';
import type { HealthRoutesOptions } from './routes/health.ts';
import { type MetricsRouteOptions, registerMetricsRoute } from './routes/metrics.ts';
import { type MonitoringOperations, registerMonitoringRoutes } from './routes/monitoring.ts';
import { type PipelineOperations, registerPipelineRoutes } from './routes/pipelines.ts';
import { type PredictionOperations, registerPredictionRoutes } from './routes/predictions.ts';

/** What all processes of a service say of it, and what is done to its versions and told of its predictions. */
export interface Operations extends Pick<HealthRoutesOptions, 'notReady' | 'health'>, MetricsRouteOptions {
  pipelines: PipelineOperations;
  predictions: PredictionOperations;
  groundTruth: GroundTruthOperations;
  monitoring: MonitoringOperations;
}

export type AdminRoutesConfig = Pick<Config, 'groundTruth' | 'maxBatchRows'>;

export function registerAdminRoutes(app: FastifyInstance, operations: Operations, config: AdminRoutesConfig): void {
  const { maxBatchRows } = config;
  app.register((scope, _options, done) => {
    registerMetricsRoute(scope, operations);
    registerPipelineRoutes(scope, operations.pipelines);
    registerPredictionRoutes(scope, operations.predictions);
    registerMonitoringRoutes(scope, operations.monitoring);
    if (config.groundTruth === 'admin') {
      registerGroundTruthRoutes(scope, { operations: operations.groundTruth, maxBatchRows });
    }
    done();
  });
}
