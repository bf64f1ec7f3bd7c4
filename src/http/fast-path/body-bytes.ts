/**
 * A scope whose bodies are rows. Its decoder gets the bytes in the call in which the last of them arrives. Fastify's JSON
 * parser would also scan every body for prototype poisoning; here every body meets a strict schema, to which `__proto__` is
 * one more undeclared field.
 */
import type { FastifyInstance } from 'fastify';
import type * as z from 'zod';
import { RidgelineError } from '../../errors.ts';
import type { RowDecoder } from '../decode-rows.ts';
import { isPlainUtf8, JSON_TYPE } from '../plugins/json-body.ts';
import { compileZod } from '../plugins/zod-schemas.ts';
import { WholeBodyRequest } from './whole-body-request.ts';

export interface RowBodiesOptions {
  decode: RowDecoder;
  fastPath: boolean;
}

/** The `body` of a request of the scope is its FeatureRows; hooks before the validation see what the decoder has given. */
export function registerRowBodies(scope: FastifyInstance, { decode, fastPath }: RowBodiesOptions): void {
  scope.removeAllContentTypeParsers();
  const limit = scope.initialConfig.bodyLimit!;

  if (fastPath) {
    scope.addContentTypeParser(JSON_TYPE, (request, payload, done) => {
      if (!isPlainUtf8(request)) return done(new RidgelineError('unsupported_media_type'));
      // A plugin's hook has replaced the request by another stream.
      if (!(payload instanceof WholeBodyRequest)) return readStream(payload, limit).then(decode);
      payload.takeBody(limit, (error, body) => (error ? done(error) : done(null, decode(body))));
    });
  } else {
    scope.addContentTypeParser<Buffer>(JSON_TYPE, { parseAs: 'buffer' }, (request, body, done) => {
      if (!isPlainUtf8(request)) return done(new RidgelineError('unsupported_media_type'));
      done(null, decode(body));
    });
  }

  scope.setValidatorCompiler<z.ZodType>((route) => {
    // Without a content type and a body nothing has been decoded, and everything is missing.
    if (route.httpPart === 'body') return (decoded) => decoded ?? decode(undefined);
    const check = compileZod(route);
    return (parameters) => isEmpty(parameters) || check(parameters);
  });
}

async function readStream(payload: NodeJS.ReadableStream, limit: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of payload) {
      const bytes = Buffer.from(piece);
      length += bytes.length;
      if (length > limit) break;
      pieces.push(bytes);
    }
  } catch (cause) {
    throw new RidgelineError('invalid_request', { detail: 'Its body cannot be read.', cause });
  }
  if (length > limit) throw new RidgelineError('body_too_large', { detail: String(limit) });
  return Buffer.concat(pieces);
}

/** Nearly every request has no query; zod would allocate an object to find that out. */
function isEmpty(parameters: object): boolean {
  for (const _ in parameters) return false;
  return true;
}
