/**
 * At most one line a request, never its body nor its query. Successes are logged at `debug` alone: under load their lines
 * would be most of the work, and what was answered is in `predictions` anyway. Failures are logged up to a number a second
 * and counted beyond it: thousands of refused requests that look alike help nobody, fill the disk, and cost most when the
 * service is overloaded.
 */
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest, onSendHookHandler } from 'fastify';
import type { RidgelineError } from '../../errors.ts';
import { ownHook } from '../fast-path/own-hooks.ts';
import type { WholeBodyRequest } from '../fast-path/whole-body-request.ts';

export interface RequestLog {
  /** Logs what the routes of `app` answer. */
  register(app: FastifyInstance): void;
  /** Logs an answer that no hook of `app` sees. */
  failed(request: FastifyRequest, reply: FastifyReply): void;
  /** Logs what never became a request. */
  refused(problem: RidgelineError, about: RefusedRequest): void;
}

export interface RefusedRequest {
  requestId: string;
  remoteAddress: string | undefined;
  /** What the parser calls it. */
  reason: string | undefined;
}

declare module 'fastify' {
  interface FastifyReply {
    /** What the answer tells, where it is a problem. */
    problem?: RidgelineError;
    /** The rows of a request that failed after they were read. */
    rows?: number;
  }
}

const LONGEST_PATH = 200;
const FAILURES_A_SECOND = 100;
/** What an operator has to look at. The causes of other 5xx pass by themselves. */
const GRAVE = new Set<string>(['internal', 'prediction_not_stored']);

export function createRequestLog(log: FastifyBaseLogger): RequestLog {
  const isWordy = log.level === 'debug' || log.level === 'trace';
  const limit = createLimit(log);

  function writeFailure(status: number, problem: RidgelineError | undefined, fields: object): void {
    if (!isWordy && !limit.takes()) return;
    const level = status < 500 ? 'info' : GRAVE.has(problem?.code ?? '') ? 'error' : 'warn';
    const [first] = problem?.errors ?? [];
    const what = { code: problem?.code, pointer: first?.pointer, parameter: first?.parameter };
    // Only for unforeseen errors, to find where they came from.
    const err = problem?.code === 'internal' ? problem.cause : undefined;
    log[level]({ ...fields, statusCode: status, ...what, err }, 'request');
  }

  const write = (request: FastifyRequest, reply: FastifyReply) => {
    const fields = {
      requestId: request.id,
      method: request.method,
      path: request.url.split('?', 1)[0]!.slice(0, LONGEST_PATH),
      rows: reply.rows ?? reply.problem?.rows,
      durationMs: millisecondsSince((request.raw as Partial<WholeBodyRequest>).arrivedAt),
    };
    const { statusCode } = reply;
    if (statusCode >= 400) writeFailure(statusCode, reply.problem, fields);
    else log.debug({ ...fields, statusCode }, 'request');
  };

  return {
    register(app) {
      if (isWordy) {
        app.addHook('onResponse', (request, reply, done) => {
          write(request, reply);
          done();
        });
        return;
      }
      app.addHook(
        'onSend',
        ownHook<onSendHookHandler>((request, reply, _payload, done) => {
          if (reply.statusCode >= 400) write(request, reply);
          done();
        }),
      );
      app.addHook('onClose', (_app, done) => {
        limit.end();
        done();
      });
    },
    failed: write,
    refused: (problem, about) => writeFailure(problem.status ?? 400, problem, about),
  };
}

/** To a tenth of a millisecond. */
function millisecondsSince(arrivedAt: number | undefined): number | undefined {
  return arrivedAt === undefined ? undefined : Math.round((performance.now() - arrivedAt) * 10) / 10;
}

function createLimit(log: FastifyBaseLogger) {
  let failures = 0;
  let second: NodeJS.Timeout | undefined;
  function end(): void {
    clearTimeout(second);
    if (failures > FAILURES_A_SECOND) {
      log.warn({ unlogged: failures - FAILURES_A_SECOND }, 'more requests failed in a second than are logged');
    }
    failures = 0;
    second = undefined;
  }
  return {
    /** Whether one more failure is logged in this second. */
    takes(): boolean {
      second ??= setTimeout(end, 1000).unref();
      return ++failures <= FAILURES_A_SECOND;
    },
    /** Tells what has been left out. */
    end,
  };
}
