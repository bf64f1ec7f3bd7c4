/**
 * At most one line a request, never its body nor its query. Successes are logged at `debug` alone: at tens of thousands a
 * second their lines would be most of the work, and what was answered is in `predictions` anyway. Of failures so many a
 * second are logged and the rest is counted: thousands of refused requests that look alike help nobody, fill the disk,
 * and are dearest exactly when the service has more to do than it can.
 */
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

const LONGEST_PATH = 200;
const FAILURES_A_SECOND = 100;

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

  let failures = 0;
  let second: NodeJS.Timeout | undefined;
  const endSecond = () => {
    if (failures > FAILURES_A_SECOND) {
      log.warn({ unlogged: failures - FAILURES_A_SECOND }, 'more requests failed in a second than are logged');
    }
    failures = 0;
    second = undefined;
  };
  app.addHook('onSend', (request, reply, _payload, done) => {
    if (reply.statusCode >= 400) {
      second ??= setTimeout(endSecond, 1000).unref();
      if (++failures <= FAILURES_A_SECOND) write('info', request, reply);
    }
    done();
  });
  app.addHook('onClose', (_app, done) => {
    clearTimeout(second);
    endSecond();
    done();
  });
}
