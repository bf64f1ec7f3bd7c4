/**
 * A bare Fastify route as its documentation teaches it. The body is validated by ajv and the answer is written by
 * fast-json-stringify, with the schemas of `POST /predict`; nothing is logged, inferred or stored.
 */
import Fastify from 'fastify';
import { housing } from '../../src/housing/features.ts';
import { announce, constantAnswer } from './announce.ts';

const body = {
  type: 'object',
  properties: Object.fromEntries(
    housing.features.map(({ name, dtype }) => [name, { type: dtype === 'int64' ? 'integer' : 'number' }]),
  ),
  required: housing.features.map(({ name }) => name),
  additionalProperties: false,
};
const answer = {
  type: 'object',
  properties: { prediction: { type: 'number' }, prediction_id: { type: 'string', format: 'uuid' } },
  required: ['prediction', 'prediction_id'],
};

const app = Fastify({ logger: false });
app.post('/predict', { schema: { body, response: { 200: answer } } }, async () => constantAnswer);
await app.listen({ host: '127.0.0.1', port: 0 });
announce(app.server);
