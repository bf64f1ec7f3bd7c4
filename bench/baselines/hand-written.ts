/**
 * What a Fastify user writes by hand for the same task: zod for the body, ONNX Runtime by its documented API, and an insert
 * through a pool after the reply. It loses what a crash interrupts, and has one pipeline for ever.
 */
import { readFile } from 'node:fs/promises';
import Fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { Pool } from 'pg';
import { v7 } from 'uuid';
import * as z from 'zod';
import { rowSchema } from '../../src/contract/row-schema.ts';
import { housing } from '../../src/housing/features.ts';
import { INPUT_NAME, OUTPUT_NAME } from '../../src/onnx/export-pipeline.ts';
import { announce } from './announce.ts';

const [artefact] = process.argv.slice(2);
const session = await InferenceSession.create(await readFile(artefact!));
const pool = new Pool({ connectionString: process.env.DATABASE_URL });
await pool.query('create table if not exists hand_written (id uuid primary key, features jsonb, prediction float8)');

const { names } = housing;
const answer = z.object({ prediction: z.number(), prediction_id: z.uuid() });
const app = Fastify({ logger: false });
app.setValidatorCompiler(validatorCompiler);
app.setSerializerCompiler(serializerCompiler);
app.post('/predict', { schema: { body: rowSchema(housing), response: { 200: answer } } }, async (request, reply) => {
  const row = request.body as Record<string, number>;
  const features = Float64Array.from(names, (name) => row[name]!);
  const outputs = await session.run({ [INPUT_NAME]: new Tensor('float64', features, [1, names.length]) });
  const prediction = Number(outputs[OUTPUT_NAME]!.data[0]);
  const prediction_id = v7();
  reply.raw.once('finish', () => {
    pool.query('insert into hand_written values ($1, $2, $3)', [prediction_id, row, prediction]).catch(() => undefined);
  });
  return { prediction, prediction_id };
});
await app.listen({ host: '127.0.0.1', port: 0 });
announce(app.server);
