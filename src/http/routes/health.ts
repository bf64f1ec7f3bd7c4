/** GET /health for people, /livez and /readyz for supervisors. A database that is away is in neither probe. */
import type { FastifyInstance } from 'fastify';
import type { RidgelineError } from '../../errors.ts';
import { type Health, health, probe } from '../schemas/health.ts';
import { problemResponses } from '../schemas/problem.ts';

export interface HealthRoutesOptions {
  /** Why no prediction should be sent here now, or undefined when one can. */
  notReady: () => RidgelineError | undefined;
  health: () => Promise<Health>;
}

export function registerHealthRoutes(app: FastifyInstance, { notReady, ...options }: HealthRoutesOptions): void {
  app.get('/health', {
    schema: { tags: ['Health'], summary: 'What works and what does not', response: { 200: health, 503: health } },
    handler: async (_request, reply) => {
      const state = await options.health();
      return reply.code(state.status === 'unavailable' ? 503 : 200).send(state);
    },
  });

  app.get('/livez', {
    schema: { tags: ['Health'], summary: 'Whether the process answers', response: { 200: probe } },
    handler: async () => ({ status: 'ok' }),
  });

  app.get('/readyz', {
    schema: {
      tags: ['Health'],
      summary: 'Whether predictions can be sent here',
      response: { 200: probe, ...problemResponses('no_pipeline') },
    },
    handler: async () => {
      const reason = notReady();
      if (reason) throw reason;
      return { status: 'ok' };
    },
  });
}
