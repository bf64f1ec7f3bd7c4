/** Compiles the zod schema of an answer to a fast serializer. Transforms are not allowed in answers, so the schema says it all. */
import fastJson from 'fast-json-stringify';
import type { FastifyInstance } from 'fastify';
import * as z from 'zod';

export function registerZodSerializer(app: FastifyInstance): void {
  app.setSerializerCompiler(({ schema }) => {
    const jsonSchema = z.toJSONSchema(schema as unknown as z.ZodType, { io: 'output', target: 'draft-7' });
    return fastJson(jsonSchema as Parameters<typeof fastJson>[0]);
  });
}
