/** The HTTP server: what is true of every connection and of every route, before there is any. */
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { createClientErrorHandler } from './connections/client-errors.ts';
import { registerConnections } from './connections/connections.ts';
import { WholeBodyRequest } from './fast-path/whole-body-request.ts';
import { type AnswerCounts, createAnswerCounts } from './plugins/answer-counts.ts';
import { registerJsonBody } from './plugins/json-body.ts';
import { registerProblemDetails, sendProblem, toRidgelineError } from './plugins/problem-details.ts';
import { createRequestIds } from './plugins/request-id.ts';
import { createRequestLog, type RequestLog } from './plugins/request-log.ts';
import { registerZodSchemas } from './plugins/zod-schemas.ts';

export interface HttpOptions {
  /** Of one request. */
  bodyLimitBytes: number;
  /** Where its answers are counted, for whoever asks for them. */
  counts?: AnswerCounts;
  log: FastifyBaseLogger;
}

/** From the first byte of a head to its last. */
const HEADERS_TIMEOUT_MS = 10_000;
/** What a caller is expected to send at the least: 100 kB/s. */
const SLOWEST_BYTES_A_SECOND = 100_000;
/** For connections that wait: longer than the 60 s of common load balancers, so that it is they who close them. */
const IDLE_MS = 72_000;

/** Fastify with everything that is true of every route: its body is JSON, its schemas are zod's, its errors problems. */
export function createHttp({ bodyLimitBytes, counts = createAnswerCounts(), log }: HttpOptions): FastifyInstance {
  const requestIdOf = createRequestIds();
  const requestLog = createRequestLog(log);
  const refused: RequestLog['refused'] = (problem, about) => {
    requestLog.refused(problem, about);
    counts.refused(problem);
  };
  const requestTimeoutMs = requestTimeout(bodyLimitBytes);
  const onClientError = createClientErrorHandler({
    requestIdOf,
    refused,
    headersTimeoutMs: HEADERS_TIMEOUT_MS,
    requestTimeoutMs,
  });
  const http = Fastify({
    // One line a request is written by request-log.ts; Fastify's own logger would make a child for each request.
    logger: false,
    genReqId: requestIdOf,
    // A half-sent request must not hold its connection. Node looks for them every 30 s unless told at its server's making.
    requestTimeout: requestTimeoutMs,
    http: {
      requestTimeout: requestTimeoutMs,
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
      // A request without one is answered in problem-details.ts.
      requireHostHeader: false,
      // Of two values of Content-Type or Host the first would count, where a proxy in front might use the other.
      joinDuplicateHeaders: true,
      IncomingMessage: WholeBodyRequest,
    },
    keepAliveTimeout: IDLE_MS,
    bodyLimit: bodyLimitBytes,
    // What still arrives while the listener closes is answered as before.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      sendProblem(reply, toRidgelineError(error, request));
      // These come before all hooks.
      requestLog.failed(request, reply);
      counts.failed(request, reply);
    },
    clientErrorHandler: onClientError,
  });
  registerConnections(http.server, { idleMs: IDLE_MS, onClientError, requestIdOf, refused });
  registerProblemDetails(http);
  requestLog.register(http);
  counts.register(http);
  registerJsonBody(http);
  registerZodSchemas(http);
  return http;
}

/** The limit for a whole request: the largest body at the least speed, in whole seconds, and no less than for its head. */
function requestTimeout(bodyLimitBytes: number): number {
  return Math.max(HEADERS_TIMEOUT_MS, Math.ceil(bodyLimitBytes / SLOWEST_BYTES_A_SECOND) * 1000);
}
