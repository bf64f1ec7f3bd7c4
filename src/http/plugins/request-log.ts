/**
 * At most one line a request, never its body nor its query. Successes are logged at `debug` alone: at tens of thousands a second their
 * lines would be most of the work, and what was answered is in `predictions` anyway.
 */
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

const LONGEST_PATH = 200;

export function registerRequestLog(app: FastifyInstance, log: FastifyBaseLogger): void {
  const write = (level: 'debug' | 'info', request: FastifyRequest, reply: FastifyReply) =>
    log[level](
      {
        requestId: request.id,
        method: request.method,
        path: request.url.split('?', 1)[0]!.slice(0, LONGEST_PATH),
        statusCode: reply.statusCode,
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
