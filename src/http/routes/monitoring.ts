/** What is known of predictions afterwards: how good they were, and how far from the training data. */
import type { FastifyInstance } from 'fastify';
import type * as z from 'zod';
import { drift, driftQuery, quality, qualityQuery, USUAL_DAYS } from '../schemas/monitoring.ts';
import { problemResponses } from '../schemas/problem.ts';

export interface MonitoringOperations {
  /** Both reject with `database_unavailable` while the database is away. */
  quality(days: number): Promise<z.input<typeof quality>>;
  drift(): Promise<z.input<typeof drift>>;
}

export function registerMonitoringRoutes(app: FastifyInstance, monitoring: MonitoringOperations): void {
  app.get<{ Querystring: z.output<typeof qualityQuery> }>('/monitoring/quality', {
    schema: {
      ...{
        tags: ['Monitoring'],
        summary: 'How good predictions were, by the truths that came',
        querystring: qualityQuery,
      },
      response: { 200: quality, ...problemResponses('invalid_parameters', 'database_unavailable') },
    },
    handler: async ({ query: { days = USUAL_DAYS } }) => monitoring.quality(Number(days)),
  });

  app.get('/monitoring/drift', {
    schema: {
      ...{
        tags: ['Monitoring'],
        summary: 'How far requests and answers are from the training data',
        querystring: driftQuery,
      },
      response: { 200: drift, ...problemResponses('invalid_parameters', 'database_unavailable') },
    },
    handler: async () => monitoring.drift(),
  });
}
