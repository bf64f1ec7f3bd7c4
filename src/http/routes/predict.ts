/**
 * POST /predict and POST /predict/batch: from decoded rows to one call of the data plane and back. A body is read under the
 * contract that is served at that moment. Each route has a scope of its own, as a scope has one decoder of bodies
 * (fast-path/body-bytes.ts).
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
import * as z from 'zod';
import type { Contract } from '../../contract/contract.ts';
import type { FeatureRows } from '../../contract/rows.ts';
import { RidgelineError } from '../../errors.ts';
import { levelOf } from '../../serving/extras.ts';
import type { Answer, Job, Refusal, Wanted } from '../../serving/outcome.ts';
import { overloaded, type Serving } from '../../serving/serving.ts';
import type { RowDecoder } from '../decode-rows.ts';
import { registerRowBodies } from '../fast-path/body-bytes.ts';
import { ownHook } from '../fast-path/own-hooks.ts';
import { createSendJson } from '../fast-path/send-json.ts';
import { escapePointer } from '../json-faults.ts';
import type { AnswerCounts } from '../plugins/answer-counts.ts';
import type { RowDecoders } from '../row-decoders.ts';
import { faultsOf, invalid } from '../schema-faults.ts';
import { predictionSchemas, predictQuery } from '../schemas/predictions.ts';
import { problemResponses } from '../schemas/problem.ts';

export interface PredictRoutesOptions {
  /** The contract that is served now; undefined before the first. */
  servedContract: () => Contract | undefined;
  decodersOf: (contract: Contract) => RowDecoders;
  maxBatchRows: number;
  exposeModelVersion: boolean;
  serving: Pick<Serving, 'answer' | 'hasRoomFor'>;
  /** Whether the server drains, and every answer ends its connection. */
  isDraining: () => boolean;
  counts: Pick<AnswerCounts, 'ofRoute'>;
  /** False: everything goes the plain way (fast-path/README.md). */
  fastPath: boolean;
}

/** What one of the two routes does in its own way. */
interface PredictRoute {
  path: string;
  summary: string;
  decoder: 'row' | 'batch';
  /** Upper bound of a request's rows, known before its body is read. */
  mostRowsOf: (request: FastifyRequest, decoders: RowDecoders) => number;
  toJson: (answer: Answer, job: Job) => object;
  /** The JSON pointer of a row in the request's body. */
  pointerOf: (row: number) => string;
  /** For the documentation: what goes in and out. */
  schemasOf: (schemas: ReturnType<typeof predictionSchemas>) => { body: z.ZodType; answer: z.ZodType };
}

/** One shared instance, as `overloaded` is in serving/. */
const noPipeline = new RidgelineError('no_pipeline');

export function registerPredictRoutes(app: FastifyInstance, options: PredictRoutesOptions): void {
  const { maxBatchRows, exposeModelVersion } = options;
  const versionOf = ({ pipelineVersion }: Answer) => (exposeModelVersion ? pipelineVersion : undefined);

  const row: PredictRoute = {
    path: '/predict',
    summary: 'Predict one row',
    decoder: 'row',
    mostRowsOf: () => 1,
    toJson(answer, job) {
      const [prediction] = answer.predictions;
      const [prediction_id] = answer.ids;
      const json = { prediction, prediction_id, model_version: versionOf(answer) };
      if (!job.wanted) return json;
      const { intervals, contributions } = extrasToJson(answer, job);
      return { ...json, interval: intervals?.[0], contributions: contributions?.[0] };
    },
    pointerOf: () => '',
    schemasOf: ({ row: body, prediction: answer }) => ({ body, answer }),
  };
  const batch: PredictRoute = {
    path: '/predict/batch',
    summary: `Predict up to ${maxBatchRows} rows`,
    decoder: 'batch',
    // By its length, so that a small batch does not count as the largest.
    mostRowsOf({ headers }, { fewestBytesOfRow }) {
      const length = Number(headers['content-length']);
      return length > 0 ? Math.min(maxBatchRows, Math.ceil(length / fewestBytesOfRow)) : 1;
    },
    toJson(answer, job) {
      const { predictions, ids: prediction_ids } = answer;
      const json = { predictions, prediction_ids, model_version: versionOf(answer) };
      return job.wanted ? { ...json, ...extrasToJson(answer, job) } : json;
    },
    pointerOf: (place) => `/instances/${place}`,
    schemasOf: ({ instances: body, predictions: answer }) => ({ body, answer }),
  };

  for (const route of [row, batch]) {
    app.register((scope, _options, done) => {
      registerPredictRoute(scope, route, options);
      done();
    });
  }
}

function registerPredictRoute(scope: FastifyInstance, route: PredictRoute, options: PredictRoutesOptions): void {
  const { servedContract, decodersOf, maxBatchRows, serving, isDraining, counts, fastPath } = options;
  const decode: RowDecoder = (body) => {
    const contract = servedContract();
    return contract ? decodersOf(contract)[route.decoder](body) : { error: noPipeline };
  };
  registerRowBodies(scope, { decode, fastPath });
  const sendJson = createSendJson(scope, { fastPath, isDraining, counts: counts.ofRoute(route.path) });

  // Before the body is parsed: refusing a batch later costs nearly as much as answering it.
  const refuseEarly: onRequestHookHandler = (request, _reply, done) => {
    const contract = servedContract();
    if (!contract) return done(noPipeline);
    return serving.hasRoomFor(route.mostRowsOf(request, decodersOf(contract))) ? done() : done(overloaded);
  };

  async function answer(reply: FastifyReply, job: Job): Promise<void> {
    try {
      const outcome = await serving.answer(job);
      if (!('faults' in outcome)) return sendJson(reply, route.toJson(outcome, job));
      throw toProblem(outcome, route);
    } catch (error) {
      reply.rows = job.rows;
      reply.send(error);
    }
  }

  scope.post<{ Body: FeatureRows; Querystring: z.output<typeof predictQuery> }>(route.path, {
    onRequest: ownHook(refuseEarly),
    schema: { tags: ['Predictions'], summary: route.summary, querystring: predictQuery, body: z.unknown() },
    config: {
      schemaUnder(contract) {
        const schemas = predictionSchemas(contract, maxBatchRows);
        const { body, answer } = route.schemasOf(schemas);
        return { body, response: { 200: answer, ...problemsOf(scope, contract, schemas.row) } };
      },
    },
    handler({ body, query }, reply) {
      const wanted = wantedOf(query);
      void answer(reply, wanted ? { ...body, wanted } : body);
    },
  });
}

/** Undefined for nearly every request, which wants a prediction and no more. */
function wantedOf({ interval, contributions }: z.output<typeof predictQuery>): Wanted | undefined {
  if (interval === undefined && contributions !== 'true') return undefined;
  return { interval: interval === undefined ? undefined : levelOf(interval), contributions: contributions === 'true' };
}

function extrasToJson({ predictions, halfWidth, contributions }: Answer, { wanted, contract: { names } }: Job) {
  return {
    intervals:
      halfWidth === undefined
        ? undefined
        : predictions.map((prediction) => ({
            level: wanted!.interval,
            lower: prediction - halfWidth,
            upper: prediction + halfWidth,
          })),
    contributions: contributions?.rows.map((row) => ({
      base_value: contributions.baseValue,
      ...Object.fromEntries(names.map((name, column) => [name, row[column]])),
    })),
  };
}

function toProblem({ faults }: Refusal, { pointerOf }: PredictRoute): RidgelineError {
  const errors = faults.map(({ row, ...fault }) => ({ pointer: row === undefined ? '' : pointerOf(row), ...fault }));
  return invalid('outside_model_domain', errors);
}

function problemsOf({ initialConfig }: FastifyInstance, { names }: Contract, row: z.ZodType) {
  const noNaN = 'JSON has no NaN and no Infinity; send a finite number.';
  const unreadable = { pointer: `/${escapePointer(names[0]!)}`, code: 'unreadable', message: noNaN };
  return problemResponses(
    ['invalid_json', { detail: `At line 1, column 9: ${noNaN}`, errors: [unreadable] }],
    ['body_too_large', { detail: String(initialConfig.bodyLimit) }],
    'unsupported_media_type',
    ['invalid_features', { errors: faultsOf(row, {}, '').slice(0, 1) }],
    'invalid_parameters',
    'interval_unavailable',
    'contributions_unavailable',
    'internal',
    'overloaded',
    'no_pipeline',
  );
}
