/** The one body that is read: JSON in UTF-8, not compressed. Everything else is a 415 before it is read. */
import type { FastifyInstance } from 'fastify';
import { RidgelineError } from '../../errors.ts';

const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]+)/i;

export function registerJsonBody(app: FastifyInstance): void {
  app.removeContentTypeParser('text/plain');
  app.addHook('preParsing', (request, _reply, payload, done) => {
    const { 'content-type': type, 'content-encoding': encoding } = request.headers;
    const charset = type === undefined ? undefined : CHARSET.exec(type)?.[1]?.toLowerCase();
    const readable =
      (charset === undefined || charset === 'utf-8' || charset === 'utf8') && (encoding ?? 'identity') === 'identity';
    done(readable ? null : new RidgelineError('unsupported_media_type'), payload);
  });
}
