/**
 * Routes that declare their bodies, queries and answers with zod, as most do. The compiler of fastify-type-provider-zod is
 * not used for what comes in: its errors repeat names that callers have sent, and have no JSON pointers.
 */
import type { FastifyInstance, FastifySchemaCompiler } from 'fastify';
import { serializerCompiler } from 'fastify-type-provider-zod';
import type * as z from 'zod';
import { faultsOf, invalid, parameterFaultsOf } from '../schema-faults.ts';

export function registerZodSchemas(app: FastifyInstance): void {
  app.setValidatorCompiler(compileZod);
  app.setSerializerCompiler(serializerCompiler);
}

/** A body that the schema refuses is 422 `invalid_body`, anything else `invalid_parameters`. */
export const compileZod: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart }) => {
  return (value) => {
    const { error, data } = schema.safeParse(value);
    if (!error) return { value: data };
    if (httpPart === 'body') return { error: invalid('invalid_body', faultsOf(schema, value, '')) };
    return { error: invalid('invalid_parameters', parameterFaultsOf(error.issues, value)) };
  };
};
