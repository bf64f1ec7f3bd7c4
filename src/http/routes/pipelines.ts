/** The versions for operators: which there are, and which one is served. */
import type { FastifyInstance } from 'fastify';
import type * as z from 'zod';
import { RidgelineError } from '../../errors.ts';
import {
  listQuery,
  promotion,
  promotionBody,
  resumeBody,
  USUAL_PAGE,
  versionDetails,
  versionPage,
  versionParameters,
} from '../schemas/pipelines.ts';
import { problemResponses } from '../schemas/problem.ts';

type PromotionAsked = z.output<typeof promotionBody>;

/** Each throws `database_unavailable` while it is away, and what the routes answer with. */
export interface PipelineOperations {
  list(page: { limit: number; before: string | undefined }): Promise<z.input<typeof versionPage>>;
  /** Undefined where there is no such version. */
  show(version: string): Promise<z.input<typeof versionDetails> | undefined>;
  promote(version: string, asked: PromotionAsked): Promise<z.input<typeof promotion>>;
  rollBack(asked: PromotionAsked): Promise<z.input<typeof promotion>>;
  resume(asked: { reason: string }): Promise<z.input<typeof promotion>>;
}

const REFUSALS = ['version_rejected', 'breaking_change'] as const;
const missingReason = {
  errors: [{ pointer: '/reason', code: 'missing', message: 'This field is required: send a string.' }],
};
const tags = ['Pipelines'];

export function registerPipelineRoutes(app: FastifyInstance, pipelines: PipelineOperations): void {
  app.get<{ Querystring: z.output<typeof listQuery> }>('/pipelines', {
    schema: {
      ...{ tags, summary: 'The versions, the newest first', querystring: listQuery },
      response: { 200: versionPage, ...problemResponses('invalid_parameters', 'database_unavailable') },
    },
    handler: async ({ query: { limit = USUAL_PAGE, before } }) => pipelines.list({ limit: Number(limit), before }),
  });

  app.get<{ Params: { version: string } }>('/pipelines/:version', {
    schema: {
      ...{ tags, summary: 'All that is known of a version', params: versionParameters },
      response: { 200: versionDetails, ...problemResponses('unknown_version', 'database_unavailable') },
    },
    handler: async ({ params: { version } }) => {
      const found = await pipelines.show(version);
      if (!found) throw new RidgelineError('unknown_version');
      return found;
    },
  });

  app.post<{ Params: { version: string }; Body: PromotionAsked }>('/pipelines/:version/promote', {
    schema: {
      ...{ tags, summary: 'Makes a version the served one', params: versionParameters, body: promotionBody },
      response: promotionResponses('unknown_version', ...REFUSALS, 'version_emptied'),
    },
    preValidation: sendNothingAsObject,
    handler: async ({ params: { version }, body }) => pipelines.promote(version, body),
  });

  app.post<{ Body: PromotionAsked }>('/pipelines/rollback', {
    schema: {
      ...{ tags, summary: 'Goes back to the version that served well before', body: promotionBody },
      response: promotionResponses('nothing_to_roll_back', ...REFUSALS),
    },
    preValidation: sendNothingAsObject,
    handler: async ({ body }) => pipelines.rollBack(body),
  });

  app.post<{ Body: z.output<typeof resumeBody> }>('/pipelines/resume', {
    schema: {
      ...{ tags, summary: 'Lets scheduled trainings go on', body: resumeBody },
      response: promotionResponses('unknown_version'),
    },
    preValidation: sendNothingAsObject,
    handler: async ({ body }) => pipelines.resume(body),
  });
}

type Codes = Parameters<typeof problemResponses>;

function promotionResponses(...codes: Codes) {
  return { 200: promotion, ...problemResponses(...codes, ['invalid_body', missingReason], 'database_unavailable') };
}

/** Without a body it is the reason that is missing, and so it is told. */
async function sendNothingAsObject(request: { body: unknown }): Promise<void> {
  if (request.body === undefined) request.body = {};
}
