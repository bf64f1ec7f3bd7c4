/** POST /predict and POST /predict/batch: from a validated body to one call and back. */
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
import { MAX_FIELD_ERRORS, RidgelineError } from '../../errors.ts';
import type { FeatureRows, FeatureSchema } from '../../feature-schema.ts';
import type { Answer, Outcome, Refusal } from '../../serving/answer.ts';
import type { Settle } from '../../serving/micro-batcher.ts';
import { overloaded, type Serving } from '../../serving/serving.ts';
import { createBatchDecoder, createRowDecoder } from '../decode-rows.ts';
import type { SendJson } from '../fast-path/send-json.ts';
import { predictionSchemas } from '../schemas/predictions.ts';
import { problemResponses } from '../schemas/problem.ts';

export interface PredictRoutesOptions {
  features: FeatureSchema;
  maxBatchRows: number;
  exposeModelVersion: boolean;
  serving: Pick<Serving, 'answer' | 'hasRoomFor'>;
  sendJson: SendJson;
}

/** The JSON pointer of a row in the request's body. */
type PointerOf = (row: number) => string;

const wholeBody: PointerOf = () => '';
const instance: PointerOf = (row) => `/instances/${row}`;

/**
 * A request whose body takes several turns of the event loop to arrive is old when it is answered. With its rows still in
 * it, it would keep them, a hundred kilobytes of a large batch, until the next full garbage collection.
 */
function takeRows(request: { body: FeatureRows }): FeatureRows {
  const { body } = request;
  (request as { body: unknown }).body = undefined;
  return body;
}

function toProblem({ faults }: Refusal, pointerOf: PointerOf): RidgelineError {
  return new RidgelineError('outside_model_domain', {
    errors: faults
      .slice(0, MAX_FIELD_ERRORS)
      .map(({ row, code, message }) => ({ pointer: row === undefined ? '' : pointerOf(row), code, message })),
    errorsTruncated: faults.length > MAX_FIELD_ERRORS,
  });
}

export function registerPredictRoutes(app: FastifyInstance, options: PredictRoutesOptions): void {
  const { features, maxBatchRows, exposeModelVersion, serving, sendJson } = options;
  const schemas = predictionSchemas(features, maxBatchRows);
  const problems = problemResponses(
    'invalid_json',
    ['body_too_large', String(app.initialConfig.bodyLimit)],
    'unsupported_media_type',
    'invalid_features',
    'internal',
    'overloaded',
  );
  const bytesOfRow = fewestBytesOfRow(features);
  const versionOf = ({ pipelineVersion }: Answer) => (exposeModelVersion ? pipelineVersion : undefined);

  const sendTo =
    (reply: FastifyReply, rows: number, pointerOf: PointerOf, toJson: (answer: Answer) => string): Settle<Outcome> =>
    (outcome) => {
      try {
        if (!(outcome instanceof Error || 'faults' in outcome)) return sendJson(reply, toJson(outcome));
        reply.rows = rows;
        reply.send(outcome instanceof Error ? outcome : toProblem(outcome, pointerOf));
      } catch (error) {
        reply.send(error);
      }
    };

  // Before the body is parsed: to refuse a batch late costs nearly as much as to answer it.
  const refuseWithoutRoom =
    (mostRows: (request: FastifyRequest) => number): onRequestHookHandler =>
    (request, _reply, done) =>
      serving.hasRoomFor(mostRows(request)) ? done() : done(overloaded);

  /** The most rows that a body of the declared length can hold; a small batch must not be taken for the largest. */
  function mostRowsOf({ headers }: FastifyRequest): number {
    const length = Number(headers['content-length']);
    return length > 0 ? Math.min(maxBatchRows, Math.ceil(length / bytesOfRow)) : 1;
  }

  app.post<{ Body: FeatureRows }>('/predict', {
    onRequest: refuseWithoutRoom(() => 1),
    schema: {
      tags: ['Predictions'],
      summary: 'Predict one row',
      body: schemas.row,
      response: { 200: schemas.prediction, ...problems },
    },
    validatorCompiler: () => createRowDecoder(features, schemas.row),
    handler: (request, reply) => {
      const rows = takeRows(request);
      const settle = sendTo(reply, rows.rows, wholeBody, (answered) => {
        const [prediction] = answered.predictions as [number];
        const [prediction_id] = answered.ids as [string];
        return JSON.stringify({ prediction, prediction_id, model_version: versionOf(answered) });
      });
      serving.answer(rows, settle);
    },
  });

  app.post<{ Body: FeatureRows }>('/predict/batch', {
    onRequest: refuseWithoutRoom(mostRowsOf),
    schema: {
      tags: ['Predictions'],
      summary: `Predict up to ${maxBatchRows} rows`,
      body: schemas.instances,
      response: { 200: schemas.predictions, ...problems },
    },
    validatorCompiler: () => createBatchDecoder(features, schemas.row, schemas.instances, maxBatchRows),
    handler: (request, reply) => {
      const rows = takeRows(request);
      const settle = sendTo(reply, rows.rows, instance, (answered) => {
        const { predictions, ids: prediction_ids } = answered;
        return JSON.stringify({ predictions, prediction_ids, model_version: versionOf(answered) });
      });
      serving.answer(rows, settle);
    },
  });
}

/** Of a row in JSON, without the white space and with a digit a value. */
function fewestBytesOfRow({ features }: FeatureSchema): number {
  return JSON.stringify(Object.fromEntries(features.map(({ name }) => [name, 0]))).length;
}
