/**
 * The admin routes: what operators see and do. They are on the admin port; outside production, without one, on the public port.
 * GET /health, /livez and /readyz are on both, and registered beside these.
 */
import type { FastifyInstance } from 'fastify';
import type { HealthRoutesOptions } from './routes/health.ts';
import { type MetricsRouteOptions, registerMetricsRoute } from './routes/metrics.ts';
import { type PipelineOperations, registerPipelineRoutes } from './routes/pipelines.ts';

/** What all processes of a service say of it, and what is done to its versions. */
export type Operations = Pick<HealthRoutesOptions, 'notReady' | 'health'> &
  MetricsRouteOptions & { pipelines: PipelineOperations };

export function registerAdminRoutes(app: FastifyInstance, operations: Operations): void {
  app.register((scope, _options, done) => {
    registerMetricsRoute(scope, operations);
    registerPipelineRoutes(scope, operations.pipelines);
    done();
  });
}
