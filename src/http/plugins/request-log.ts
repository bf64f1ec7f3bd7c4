/**
 * At most one line a request, never its body nor its query. Successes are logged at `debug` alone: at tens of thousands a
 * second their lines would be most of the work, and what was answered is in `predictions` anyway. Of failures so many a
 * second are logged and the rest is counted: thousands of refused requests that look alike help nobody, fill the disk,
 * and are dearest exactly when the service has more to do than it can.
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
    /** How many were asked for, where the answer is a failure that came after they were read. */
    rows?: number;
  }
}

const LONGEST_PATH = 200;
const FAILURES_A_SECOND = 100;
/** What an operator has to look at. Other answers of 5xx end by themselves. */
const GRAVE = new Set<string>(['internal', 'prediction_not_stored']);

export function createRequestLog(log: FastifyBaseLogger): RequestLog {
  const isWordy = log.level === 'debug' || log.level === 'trace';
  const limit = createLimit(log);

  function writeFailure(status: number, problem: RidgelineError | undefined, fields: object): void {
    if (!isWordy && !limit.takes()) return;
    const level = status < 500 ? 'info' : GRAVE.has(problem?.code ?? '') ? 'error' : 'warn';
    const [first] = problem?.errors ?? [];
    const what = { code: problem?.code, pointer: first?.pointer, parameter: first?.parameter };
    // Of what was not foreseen, where it came from.
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
