/** Compiles the zod schema of an answer to a fast serializer. Answers have no transforms, so their JSON Schema says it all. */
import fastJson from 'fast-json-stringify';
import * as z from 'zod';

export function compileSerializer<Answer>(schema: z.ZodType<Answer>): (answer: Answer) => string {
  const jsonSchema = z.toJSONSchema(schema, { io: 'output', target: 'draft-7' });
  return fastJson(jsonSchema as Parameters<typeof fastJson>[0]);
}
