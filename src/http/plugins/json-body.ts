/** The one kind of body: uncompressed JSON in UTF-8. Anything else is a 415; invalid JSON is a 400 that says where. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { type ErrorCode, RidgelineError } from '../../errors.ts';
import { parseBody, withoutMark } from '../parse-body.ts';
import { invalid } from '../schema-faults.ts';

export const JSON_TYPE = 'application/json';
const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]+)/i;

/**
 * Parses the bodies of all routes outside of scopes with a parser of their own. A key that an object has twice is the error
 * `repeated`.
 */
export function registerJsonBody(app: FastifyInstance, repeated: ErrorCode = 'invalid_body'): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>(JSON_TYPE, { parseAs: 'buffer' }, (request, bytes, done) => {
    if (!isPlainUtf8(request)) return done(new RidgelineError('unsupported_media_type'));
    // Found out once, and only for a fault: a body may repeat thousands of keys.
    let names: ReadonlySet<string> | undefined;
    const body = parseBody(withoutMark(bytes), (key) => {
      names ??= namesOf(request);
      return names.has(key);
    });
    if ('error' in body) return done(body.error);
    if (body.repeated.length > 0) return done(invalid(repeated, body.repeated));
    done(null, body.value);
  });
}

export function isPlainUtf8({ headers }: FastifyRequest): boolean {
  if (headers['content-encoding'] !== undefined && !/^(identity)?$/i.test(headers['content-encoding'])) return false;
  if (headers['content-type'] === JSON_TYPE) return true;
  const charset = CHARSET.exec(headers['content-type'] ?? '')?.[1]?.toLowerCase() ?? 'utf-8';
  return charset === 'utf-8' || charset === 'utf8';
}

/** The names that the schema of a route's body has. */
function namesOf({ routeOptions: { schema } }: FastifyRequest): ReadonlySet<string> {
  const names = new Set<string>();
  if (!(schema?.body instanceof z.ZodType)) return names;
  JSON.stringify(z.toJSONSchema(schema.body, { io: 'input', unrepresentable: 'any' }), (key, value) => {
    if (key === 'properties') for (const name of Object.keys(value)) names.add(name);
    return value;
  });
  return names;
}
