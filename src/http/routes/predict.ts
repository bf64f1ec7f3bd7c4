/**
 * POST /predict and POST /predict/batch: from decoded rows to one call of the data plane and back. Each has a scope of its
 * own, as a scope has one decoder of bodies (fast-path/body-bytes.ts).
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
import type * as z from 'zod';
import type { Contract } from '../../contract/contract.ts';
import type { FeatureRows } from '../../contract/rows.ts';
import type { RidgelineError } from '../../errors.ts';
import type { Answer, Refusal } from '../../serving/answer.ts';
import { overloaded, type Serving } from '../../serving/serving.ts';
import { createBatchDecoder, createRowDecoder, type RowDecoder } from '../decode-rows.ts';
import { registerRowBodies } from '../fast-path/body-bytes.ts';
import { ownHook } from '../fast-path/own-hooks.ts';
import { createSendJson } from '../fast-path/send-json.ts';
import { invalid } from '../schema-faults.ts';
import { noParameters, predictionSchemas } from '../schemas/predictions.ts';
import { problemResponses } from '../schemas/problem.ts';

export interface PredictRoutesOptions {
  contract: Contract;
  maxBatchRows: number;
  exposeModelVersion: boolean;
  serving: Pick<Serving, 'answer' | 'hasRoomFor'>;
  /** Whether the server drains, and every answer ends its connection. */
  isDraining: () => boolean;
  /** False: everything goes the plain way (fast-path/README.md). */
  fastPath: boolean;
}

/** What one of the two routes does in its own way. */
interface PredictRoute {
  path: string;
  summary: string;
  body: z.ZodType;
  decode: RowDecoder;
  /** Upper bound of a request's rows, known before its body is read. */
  mostRowsOf: (request: FastifyRequest) => number;
  answer: z.ZodType;
  toJson: (answer: Answer) => object;
  /** The JSON pointer of a row in the request's body. */
  pointerOf: (row: number) => string;
}

export function registerPredictRoutes(app: FastifyInstance, options: PredictRoutesOptions): void {
  const { contract, maxBatchRows, exposeModelVersion, fastPath } = options;
  const schemas = predictionSchemas(contract, maxBatchRows);
  const bytesOfRow = fewestBytesOfRow(contract);
  const versionOf = ({ pipelineVersion }: Answer) => (exposeModelVersion ? pipelineVersion : undefined);

  const row: PredictRoute = {
    path: '/predict',
    summary: 'Predict one row',
    body: schemas.row,
    decode: createRowDecoder({ contract, row: schemas.row, fastPath }),
    mostRowsOf: () => 1,
    answer: schemas.prediction,
    toJson(answer) {
      const [prediction] = answer.predictions;
      const [prediction_id] = answer.ids;
      return { prediction, prediction_id, model_version: versionOf(answer) };
    },
    pointerOf: () => '',
  };
  const batch: PredictRoute = {
    path: '/predict/batch',
    summary: `Predict up to ${maxBatchRows} rows`,
    body: schemas.instances,
    decode: createBatchDecoder({ contract, row: schemas.row, batch: schemas.instances, maxBatchRows, fastPath }),
    // By its length, so that a small batch does not count as the largest.
    mostRowsOf({ headers }) {
      const length = Number(headers['content-length']);
      return length > 0 ? Math.min(maxBatchRows, Math.ceil(length / bytesOfRow)) : 1;
    },
    answer: schemas.predictions,
    toJson(answer) {
      const { predictions, ids: prediction_ids } = answer;
      return { predictions, prediction_ids, model_version: versionOf(answer) };
    },
    pointerOf: (place) => `/instances/${place}`,
  };

  for (const route of [row, batch]) {
    app.register((scope, _options, done) => {
      registerPredictRoute(scope, route, options);
      done();
    });
  }
}

function registerPredictRoute(scope: FastifyInstance, route: PredictRoute, options: PredictRoutesOptions): void {
  const { serving, isDraining, fastPath } = options;
  // Nothing is faster for long arrays; the schemas are for the documentation.
  scope.setSerializerCompiler(() => JSON.stringify);
  registerRowBodies(scope, { decode: route.decode, fastPath });
  const sendJson = createSendJson(scope, { fastPath, isDraining });

  // Before the body is parsed: refusing a batch later costs nearly as much as answering it.
  const refuseWithoutRoom: onRequestHookHandler = (request, _reply, done) =>
    serving.hasRoomFor(route.mostRowsOf(request)) ? done() : done(overloaded);

  async function answer(reply: FastifyReply, rows: FeatureRows): Promise<void> {
    try {
      const outcome = await serving.answer(rows);
      if (!('faults' in outcome)) return sendJson(reply, route.toJson(outcome));
      throw toProblem(outcome, route);
    } catch (error) {
      reply.rows = rows.rows;
      reply.send(error);
    }
  }

  scope.post<{ Body: FeatureRows }>(route.path, {
    onRequest: ownHook(refuseWithoutRoom),
    schema: {
      tags: ['Predictions'],
      summary: route.summary,
      querystring: noParameters,
      body: route.body,
      response: { 200: route.answer, ...problemsOf(scope) },
    },
    handler: ({ body }, reply) => void answer(reply, body),
  });
}

function toProblem({ faults }: Refusal, { pointerOf }: PredictRoute): RidgelineError {
  const errors = faults.map(({ row, ...fault }) => ({ pointer: row === undefined ? '' : pointerOf(row), ...fault }));
  return invalid('outside_model_domain', errors);
}

function problemsOf({ initialConfig }: FastifyInstance) {
  return problemResponses(
    'invalid_json',
    ['body_too_large', String(initialConfig.bodyLimit)],
    'unsupported_media_type',
    'invalid_features',
    'invalid_parameters',
    'internal',
    'overloaded',
  );
}

/** Of a row in JSON without white space and with one digit a value. */
function fewestBytesOfRow({ features }: Contract): number {
  return JSON.stringify(Object.fromEntries(features.map(({ name }) => [name, 0]))).length;
}
