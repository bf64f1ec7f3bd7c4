/** The one body that is read: JSON in UTF-8, not compressed. Everything else is a 415. */
import { isAscii } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { RidgelineError } from '../../errors.ts';
import type { WholeBodyRequest } from '../whole-body-request.ts';

const PLAIN_TYPE = 'application/json';
const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]+)/i;

/**
 * Fastify's own JSON parser looks every body over for prototype poisoning. Here every body meets a strict schema, to
 * which `__proto__` is one more undeclared field, so the look is spared. The server's requests have to be of the class
 * WholeBodyRequest.
 */
export function registerJsonBody(app: FastifyInstance, { limitBytes }: { limitBytes: number }): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(PLAIN_TYPE, (request, payload, done) => {
    if (!isPlainUtf8(request)) return done(new RidgelineError('unsupported_media_type'));
    (payload as WholeBodyRequest).takeBody(limitBytes, (error, body) => {
      if (error) return done(error);
      let value: unknown;
      try {
        value = parseJson(body!);
      } catch (cause) {
        return done(new RidgelineError('invalid_json', { cause }));
      }
      done(null, value);
    });
  });
}

/** Numbers and names are ASCII, which need not be decoded as UTF-8. */
function parseJson(body: Buffer): unknown {
  return JSON.parse(isAscii(body) ? body.toString('latin1') : body.toString('utf8'));
}

function isPlainUtf8({ headers }: FastifyRequest): boolean {
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') return false;
  if (headers['content-type'] === PLAIN_TYPE) return true;
  const charset = CHARSET.exec(headers['content-type'] ?? '')?.[1]?.toLowerCase() ?? 'utf-8';
  return charset === 'utf-8' || charset === 'utf8';
}
