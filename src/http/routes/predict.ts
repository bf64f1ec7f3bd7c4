/** POST /predict and POST /predict/batch: from a validated body to one call and back. */
import type { FastifyInstance, FastifyReply, onRequestHookHandler } from 'fastify';
import { RidgelineError } from '../../errors.ts';
import type { EncodedRows, FeatureSchema } from '../../feature-schema.ts';
import type { Answer } from '../../serving/answer.ts';
import type { Settle } from '../../serving/micro-batcher.ts';
import { batchValidator, rowValidator } from '../decode-rows.ts';
import type { SendJson } from '../fast-path/send-json.ts';
import { predictionSchemas } from '../schemas/predictions.ts';
import { problemResponses } from '../schemas/problem.ts';

export interface PredictRoutesOptions {
  features: FeatureSchema;
  maxBatchRows: number;
  exposeModelVersion: boolean;
  /** Predicts and stores rows; `pointerOf` names a row's place in the body for errors. */
  answer: (rows: EncodedRows, pointerOf: (row: number) => string, settle: Settle<Answer>) => void;
  /** Whether so many rows would be taken now. */
  hasRoomFor: (rows: number) => boolean;
  sendJson: SendJson;
}

/** Made once: where thousands a second are refused, the stack of each would be most of the refusal's cost in JavaScript. */
const overloaded = new RidgelineError('overloaded');
const problems = problemResponses(
  'invalid_json',
  'body_too_large',
  'unsupported_media_type',
  'invalid_features',
  'internal',
  'overloaded',
);
const wholeBody = () => '';
const instance = (row: number) => `/instances/${row}`;

/**
 * A request whose body takes several turns of the event loop to arrive is old when it is answered. With its rows still in
 * it, it would keep them, a hundred kilobytes of a large batch, until the next full garbage collection.
 */
function takeRows(request: { body: EncodedRows }): EncodedRows {
  const { body } = request;
  (request as { body: unknown }).body = undefined;
  return body;
}

export function registerPredictRoutes(app: FastifyInstance, options: PredictRoutesOptions): void {
  const { features, maxBatchRows, exposeModelVersion, answer, hasRoomFor, sendJson } = options;
  const schemas = predictionSchemas(features, maxBatchRows);
  const versionOf = ({ pipelineVersion }: Answer) => (exposeModelVersion ? pipelineVersion : undefined);

  const sendTo =
    (reply: FastifyReply, toJson: (answered: Answer) => string): Settle<Answer> =>
    (result) => {
      try {
        if (result instanceof Error) reply.send(result);
        else sendJson(reply, toJson(result));
      } catch (error) {
        reply.send(error);
      }
    };

  // Before the body is parsed: to refuse a batch late costs nearly as much as to answer it.
  const refuseWithoutRoom =
    (rows: number): onRequestHookHandler =>
    (_request, _reply, done) =>
      hasRoomFor(rows) ? done() : done(overloaded);

  app.post<{ Body: EncodedRows }>('/predict', {
    onRequest: refuseWithoutRoom(1),
    schema: {
      tags: ['Predictions'],
      summary: 'Predict one row',
      body: schemas.row,
      response: { 200: schemas.prediction, ...problems },
    },
    validatorCompiler: () => rowValidator(features, schemas.row),
    handler: (request, reply) => {
      const settle = sendTo(reply, (answered) => {
        const [prediction] = answered.predictions as [number];
        const [prediction_id] = answered.ids as [string];
        return JSON.stringify({ prediction, prediction_id, model_version: versionOf(answered) });
      });
      answer(takeRows(request), wholeBody, settle);
    },
  });

  app.post<{ Body: EncodedRows }>('/predict/batch', {
    onRequest: refuseWithoutRoom(maxBatchRows),
    schema: {
      tags: ['Predictions'],
      summary: `Predict up to ${maxBatchRows} rows`,
      body: schemas.instances,
      response: { 200: schemas.predictions, ...problems },
    },
    validatorCompiler: () => batchValidator(features, schemas.row, schemas.instances, maxBatchRows),
    handler: (request, reply) => {
      const settle = sendTo(reply, (answered) => {
        const { predictions, ids: prediction_ids } = answered;
        return JSON.stringify({ predictions, prediction_ids, model_version: versionOf(answered) });
      });
      answer(takeRows(request), instance, settle);
    },
  });
}
