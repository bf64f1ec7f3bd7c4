/** GET /metrics, in the text format of Prometheus. */
import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import type { Samples } from '../../metrics/samples.ts';

export interface MetricsRouteOptions {
  /** Of all processes of the service. Never waits for the database. */
  samples: () => Promise<Samples>;
}

export function registerMetricsRoute(app: FastifyInstance, { samples }: MetricsRouteOptions): void {
  app.get('/metrics', {
    schema: {
      tags: ['Operations'],
      summary: 'Metrics for Prometheus',
      response: { 200: { description: 'Every metric', content: { 'text/plain': { schema: z.string() } } } },
    },
    handler: async (_request, reply) => {
      // Loaded by the first scrape, as a start need not wait for it.
      const { expose, METRICS_MEDIA_TYPE } = await import('../../metrics/exposition.ts');
      return reply.type(METRICS_MEDIA_TYPE).send(await expose(await samples()));
    },
  });
}
