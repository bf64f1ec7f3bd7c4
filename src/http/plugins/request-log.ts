/**
 * At most one line a request, never its body. Successes are logged at `debug`: at tens of thousands a second their lines
 * would be most of the work, and what was answered is in `predictions` anyway.
 */
import type { FastifyInstance } from 'fastify';

export function registerRequestLog(app: FastifyInstance, { successes }: { successes: boolean }): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { statusCode } = reply;
    if (statusCode >= 400 || successes) {
      request.log[statusCode >= 400 ? 'info' : 'debug'](
        {
          reqId: request.id,
          method: request.method,
          path: request.routeOptions.url ?? '(none)',
          statusCode,
          milliseconds: Math.round(reply.elapsedTime * 1000) / 1000,
        },
        'request',
      );
    }
    done();
  });
}
