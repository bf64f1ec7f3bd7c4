/**
 * GET /health for people, /livez and /readyz for supervisors. /livez asks nothing: a restart mends no database. /readyz is
 * about the process that answers: whether a prediction sent to it now would be answered.
 */
import type { FastifyInstance } from 'fastify';
import type { RidgelineError } from '../../errors.ts';
import type { Health } from '../../health.ts';
import { type HealthForm, healthSchema, probe, toHealthAnswer } from '../schemas/health.ts';
import { problemResponses } from '../schemas/problem.ts';

export interface HealthRoutesOptions extends HealthForm {
  /** Why no prediction should be sent here now, or undefined when one can. */
  notReady: () => Promise<RidgelineError | undefined>;
  /** Of all processes of the service. */
  health: () => Promise<Health>;
}

export function registerHealthRoutes(app: FastifyInstance, options: HealthRoutesOptions): void {
  const schema = healthSchema[options.form];
  app.get('/health', {
    schema: { tags: ['Health'], summary: 'What works and what does not', response: { 200: schema, 503: schema } },
    handler: async (_request, reply) => {
      const health = await options.health();
      return reply.code(health.status === 'unavailable' ? 503 : 200).send(toHealthAnswer(health, options));
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
      const reason = await options.notReady();
      if (reason) throw reason;
      return { status: 'ok' };
    },
  });
}
