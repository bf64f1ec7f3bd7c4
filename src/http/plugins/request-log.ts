/**
 * At most one line a request, never its body. Successes are logged at `debug` alone: at tens of thousands a second their
 * lines would be most of the work, and what was answered is in `predictions` anyway.
 */
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

export function registerRequestLog(app: FastifyInstance, log: FastifyBaseLogger): void {
  const write = (level: 'debug' | 'info', request: FastifyRequest, reply: FastifyReply) =>
    log[level](
      {
        requestId: request.id,
        method: request.method,
        path: request.routeOptions.url ?? '(none)',
        statusCode: reply.statusCode,
        milliseconds: Math.round(reply.elapsedTime * 1000) / 1000,
      },
      'request',
    );
  if (log.level === 'debug' || log.level === 'trace') {
    app.addHook('onResponse', (request, reply, done) => {
      write('debug', request, reply);
      done();
    });
    return;
  }
  app.addHook('onSend', (request, reply, _payload, done) => {
    if (reply.statusCode >= 400) write('info', request, reply);
    done();
  });
}
