/** The one body that is read: JSON in UTF-8, not compressed. Everything else is a 415. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { RidgelineError } from '../../errors.ts';
import type { WholeBodyRequest } from './whole-body-request.ts';

const PLAIN_TYPE = 'application/json';
const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]+)/i;

/**
 * Hands the bytes of a body to its route's validator, which reads rows from them without parsing where it can. Fastify's
 * own JSON parser looks every body over for prototype poisoning besides; here every body meets a strict schema, to which
 * `__proto__` is one more undeclared field. The server's requests have to be of the class WholeBodyRequest.
 */
export function registerJsonBody(app: FastifyInstance, { limitBytes }: { limitBytes: number }): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(PLAIN_TYPE, (request, payload, done) => {
    if (!isPlainUtf8(request)) return done(new RidgelineError('unsupported_media_type'));
    (payload as WholeBodyRequest).takeBody(limitBytes, done);
  });
}

function isPlainUtf8({ headers }: FastifyRequest): boolean {
  if (headers['content-encoding'] !== undefined && !/^(identity)?$/i.test(headers['content-encoding'])) return false;
  if (headers['content-type'] === PLAIN_TYPE) return true;
  const charset = CHARSET.exec(headers['content-type'] ?? '')?.[1]?.toLowerCase() ?? 'utf-8';
  return charset === 'utf-8' || charset === 'utf8';
}
