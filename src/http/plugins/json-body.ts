/** The one body that is read: JSON in UTF-8, not compressed. Everything else is a 415. */
import { isAscii } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { RidgelineError } from '../../errors.ts';

const PLAIN_TYPE = 'application/json';
const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]+)/i;

/**
 * Fastify's own JSON parser looks every body over for prototype poisoning. Here every body meets a strict schema, to
 * which `__proto__` is one more undeclared field, so the look is spared.
 */
export function registerJsonBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>(PLAIN_TYPE, { parseAs: 'buffer' }, (request, body, done) => {
    if (!isPlainUtf8(request)) return done(new RidgelineError('unsupported_media_type'));
    let value: unknown;
    try {
      // Numbers and names are ASCII, which need not be decoded as UTF-8.
      value = JSON.parse(isAscii(body) ? body.toString('latin1') : body.toString('utf8'));
    } catch (cause) {
      return done(new RidgelineError('invalid_json', { cause }));
    }
    done(null, value);
  });
}

function isPlainUtf8({ headers }: FastifyRequest): boolean {
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') return false;
  if (headers['content-type'] === PLAIN_TYPE) return true;
  const charset = CHARSET.exec(headers['content-type'] ?? '')?.[1]?.toLowerCase() ?? 'utf-8';
  return charset === 'utf-8' || charset === 'utf8';
}
