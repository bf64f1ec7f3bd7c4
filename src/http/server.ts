/** The HTTP server: what is true of every connection and of every route, before there is any. */
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { registerJsonBody } from './fast-path/body-bytes.ts';
import { WholeBodyRequest } from './fast-path/whole-body-request.ts';
import { answerClientError, registerProblemDetails, sendProblem, toRidgelineError } from './plugins/problem-details.ts';
import { createRequestIds } from './plugins/request-id.ts';
import { registerRequestLog } from './plugins/request-log.ts';

export interface HttpOptions {
  /** Of one request. */
  bodyLimitBytes: number;
  log: FastifyBaseLogger;
}

/** From the first byte of a request to its last; the largest body passes in it at 100 kB/s. */
const REQUEST_TIMEOUT_MS = 10_000;

/** Fastify with everything that is true of every route. */
export function createHttp({ bodyLimitBytes, log }: HttpOptions): FastifyInstance {
  const http = Fastify({
    // One line a request is written by request-log.ts; Fastify's own logger would make a child for each request.
    logger: false,
    genReqId: createRequestIds(),
    // A half-sent request must not hold its connection. Node looks for them every 30 s unless told at its server's making.
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: {
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
      IncomingMessage: WholeBodyRequest,
    },
    // Longer than the 60 s of common load balancers, so that it is they who close an idle connection.
    keepAliveTimeout: 72_000,
    // What still arrives while the listener closes is answered as before.
    return503OnClosing: false,
    frameworkErrors: (error, _request, reply) => sendProblem(reply, toRidgelineError(error)),
    clientErrorHandler: answerClientError,
  });
  registerProblemDetails(http, log);
  registerRequestLog(http, log);
  registerJsonBody(http, { limitBytes: bodyLimitBytes });
  // The schemas are zod's, for the documentation; what is answered is plain, and for long arrays nothing is faster.
  http.setSerializerCompiler(() => JSON.stringify);
  return http;
}
