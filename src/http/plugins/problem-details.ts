/** Turns everything that goes wrong into one kind of answer: RFC 9457 problem details, without stacks or internals. */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { FastifyBaseLogger, FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorCode, RidgelineError } from '../../errors.ts';
import { PROBLEM_MEDIA_TYPE, toProblem } from '../schemas/problem.ts';
import { REQUEST_ID_HEADER } from './request-id.ts';

/** What Fastify's own errors mean in our catalogue. */
const fastifyErrors: Record<string, ErrorCode> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_BAD_URL: 'invalid_request',
};

/** What Node's HTTP parser refuses before Fastify sees a request. */
const parserErrors: Record<string, ErrorCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
};

export function registerProblemDetails(app: FastifyInstance, log: FastifyBaseLogger): void {
  const allowedMethods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = allowedMethods.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    allowedMethods.set(url, methods);
  });

  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const known = toRidgelineError(error);
    if (known.code === 'internal') log.error({ err: error, requestId: request.id }, 'unexpected error');
    sendProblem(reply, known);
  });

  const answerUnrouted = (request: FastifyRequest, reply: FastifyReply) => {
    const methods = allowedMethods.get(request.url.split('?', 1)[0]!);
    if (!methods) return sendProblem(reply, new RidgelineError('not_found'));
    const allow = [...methods].sort().join(', ');
    reply.header('allow', allow);
    return sendProblem(reply, new RidgelineError('method_not_allowed', { detail: allow }));
  };
  // Before the body is read: nothing about it matters when nobody is there to take it.
  app.addHook('onRequest', (request, reply, done) => (request.is404 ? answerUnrouted(request, reply) : done()));
  app.setNotFoundHandler(answerUnrouted);
}

export function sendProblem(reply: FastifyReply, error: RidgelineError): void {
  const { request } = reply;
  // An error of a command that has strayed here is an internal one, and its text is not for callers.
  const shown = error.status === undefined ? new RidgelineError('internal', { cause: error }) : error;
  const status = shown.status ?? 500;
  if (shown.retryAfterSeconds !== undefined) reply.header('retry-after', shown.retryAfterSeconds);
  reply
    .code(status)
    .header('content-type', PROBLEM_MEDIA_TYPE)
    // Framework errors come before the hook that sets it for other answers.
    .header(REQUEST_ID_HEADER, request.id)
    // Past the route's serializer: a problem is not the route's success body.
    .serializer((payload: unknown) => JSON.stringify(payload))
    .send(toProblem(shown, status, request.id));
}

/** Answers on a bare socket to what is not HTTP enough for a request object; then the connection is closed. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const problem = new RidgelineError(parserErrors[error.code ?? ''] ?? 'invalid_request');
  const status = problem.status ?? 400;
  const requestId = randomUUID();
  const body = JSON.stringify(toProblem(problem, status, requestId));
  socket.end(
    `HTTP/1.1 ${status} ${problem.title}\r\nconnection: close\r\ncontent-type: ${PROBLEM_MEDIA_TYPE}\r\n` +
      `${REQUEST_ID_HEADER}: ${requestId}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

export function toRidgelineError(error: FastifyError | RidgelineError): RidgelineError {
  if (error instanceof RidgelineError) return error;
  return new RidgelineError(fastifyErrors[error.code] ?? 'internal', { cause: error });
}
