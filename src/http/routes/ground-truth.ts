/**
 * POST /ground-truth and POST /ground-truth/batch: what became of predictions. The call may be repeated, as the same label
 * again changes nothing.
 */
import type { FastifyInstance, FastifySchema, FastifySchemaCompiler } from 'fastify';
import type { Clock } from '../../clock.ts';
import { RidgelineError } from '../../errors.ts';
import { type Label, type LabelResult, labelResults } from '../../ground-truth/label.ts';
import { createLabelBatchDecoder, createLabelDecoder, type LabelDecoder, type SentLabels } from '../decode-labels.ts';
import { registerJsonBody } from '../plugins/json-body.ts';
import { compileZod } from '../plugins/zod-schemas.ts';
import {
  label,
  labelAnswers,
  labelBatch,
  labelBatchAnswer,
  labelProblems,
  noParameters,
  unknownPrediction,
} from '../schemas/ground-truth.ts';

export interface GroundTruthOperations {
  clock: Clock;
  /** What every caller is told now, before the body is read; undefined while labels are taken. */
  refusal(): RidgelineError | undefined;
  /**
   * Stores labels in one transaction; what each was, in their order. Rejects with `database_unavailable` while the database is
   * away, and with `overloaded` where more wait than are stored.
   */
  record(labels: readonly Label[], now: Date): Promise<LabelResult[]>;
}

export interface GroundTruthRoutesOptions {
  operations: GroundTruthOperations;
  maxBatchRows: number;
}

const tags = ['Ground truth'];

export function registerGroundTruthRoutes(app: FastifyInstance, options: GroundTruthRoutesOptions): void {
  // A scope, as it has a parser of bodies of its own.
  app.register((scope, _options, done) => {
    registerJsonBody(scope, 'invalid_ground_truth');
    registerRoutes(scope, options);
    done();
  });
}

function registerRoutes(scope: FastifyInstance, { operations, maxBatchRows }: GroundTruthRoutesOptions): void {
  const { clock, refusal, record } = operations;
  const bodyLimit = scope.initialConfig.bodyLimit!;
  const onRequest = async () => {
    const error = refusal();
    if (error) throw error;
  };

  scope.post<{ Body: SentLabels }>('/ground-truth', {
    onRequest,
    schema: {
      ...{ tags, summary: 'Tell what became of a prediction', querystring: noParameters, body: label },
      response: { ...labelAnswers, ...unknownPrediction, ...labelProblems('', bodyLimit) },
    },
    validatorCompiler: compileWith(createLabelDecoder(clock)),
    handler: async ({ body: { labels, now } }, reply) => {
      const [result] = (await record(labels, now)) as [LabelResult];
      if (result === 'unknown') throw new RidgelineError('unknown_prediction', { members: { result } });
      return reply.code(result === 'pending' ? 202 : 200).send({ result });
    },
  });

  scope.post<{ Body: SentLabels }>('/ground-truth/batch', {
    onRequest,
    schema: {
      ...{ tags, summary: `Tell what became of up to ${maxBatchRows} predictions` },
      ...{ querystring: noParameters, body: labelBatch(maxBatchRows) },
      response: { 200: labelBatchAnswer, ...labelProblems('/instances/0', bodyLimit) },
    },
    validatorCompiler: compileWith(createLabelBatchDecoder(clock, maxBatchRows)),
    handler: async ({ body: { labels, now } }, reply) => {
      reply.rows = labels.length;
      const results = await record(labels, now);
      return { results, counts: countsOf(results) };
    },
  });
}

/** The decoder for the body, and zod for the query. */
function compileWith(decode: LabelDecoder): FastifySchemaCompiler<FastifySchema> {
  // What Fastify takes for a schema of its own is one of zod here.
  const compileOther = compileZod as FastifySchemaCompiler<never>;
  return (route) => (route.httpPart === 'body' ? decode : compileOther(route as never));
}

function countsOf(results: readonly LabelResult[]): Record<LabelResult, number> {
  const counts = Object.fromEntries(labelResults.map((result) => [result, 0])) as Record<LabelResult, number>;
  for (const result of results) counts[result]++;
  return counts;
}
