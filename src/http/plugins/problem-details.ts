/** Turns everything that goes wrong into one kind of answer: RFC 9457 problem details, without stacks or internals. */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
import { type ErrorCode, RidgelineError } from '../../errors.ts';
import { ownHook } from '../fast-path/own-hooks.ts';
import { PROBLEM_MEDIA_TYPE, toProblem } from '../schemas/problem.ts';
import { REQUEST_ID_HEADER } from './request-id.ts';

/** What Fastify's own errors mean in our catalogue. */
const fastifyErrors: Record<string, ErrorCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_MAX_PARAM_LENGTH: 'not_found',
};

/** Characters that no host and port contains. */
const NO_HOST = /[\s,/?#@\\]/;

export function registerProblemDetails(app: FastifyInstance): void {
  const allowedMethods = new Map<string, Set<string>>();
  /** Of routes with parameters. */
  const templates: { pattern: RegExp; methods: ReadonlySet<string> }[] = [];
  /** Those that the port is for, as a caller may be told. */
  const routes: string[] = [];
  app.addHook('onRoute', ({ url, method, schema }) => {
    const methods = allowedMethods.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    if (url.includes(':') && !allowedMethods.has(url)) templates.push({ pattern: patternOf(url), methods });
    allowedMethods.set(url, methods);
    if (schema && !schema.hide && method !== 'HEAD') routes.push(`${method} ${url}`);
  });

  app.setErrorHandler<FastifyError>((error, request, reply) => {
    sendProblem(reply, toRidgelineError(error, request));
  });

  const answerUnrouted = (request: FastifyRequest, reply: FastifyReply) => {
    const path = pathOf(request);
    const methods = allowedMethods.get(path) ?? templates.find(({ pattern }) => pattern.test(path))?.methods;
    if (!methods) {
      return sendProblem(reply, new RidgelineError('not_found', { detail: `Its routes are ${routes.join(', ')}.` }));
    }
    const allow = [...methods].sort().join(', ');
    reply.header('allow', allow);
    return sendProblem(reply, new RidgelineError('method_not_allowed', { detail: allow }));
  };
  // Before the body is read, which would be in vain.
  app.addHook(
    'onRequest',
    ownHook<onRequestHookHandler>((request, reply, done) => {
      const fault = faultOfHead(request);
      if (fault) return sendProblem(reply, fault);
      return request.is404 ? answerUnrouted(request, reply) : done();
    }),
  );
  app.setNotFoundHandler(answerUnrouted);
}

/** What paths a route with parameters has, such as /pipelines/:version. */
function patternOf(url: string): RegExp {
  return new RegExp(`^${url.replace(/:\w+/g, '[^/]+')}$`);
}

/** The path as routes are matched: decoded, without the origin of a request through a proxy. */
function pathOf({ url }: FastifyRequest): string {
  const path = url.replace(/^https?:\/\/[^/?#]*/i, '').split(/[?#]/, 1)[0]!;
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

/** What Node's server would otherwise answer itself, without a body. */
function faultOfHead({ raw: { headers, httpVersion } }: FastifyRequest): RidgelineError | undefined {
  if (headers.host === undefined && httpVersion === '1.1') {
    return new RidgelineError('invalid_request', { detail: 'It lacks the Host header.' });
  }
  // Two are joined with a comma; RFC 9112 (3.2) requires a 400.
  if (headers.host !== undefined && NO_HOST.test(headers.host)) {
    return new RidgelineError('invalid_request', { detail: 'Its Host header is not one host.' });
  }
  if (headers.expect === undefined || /^100-continue$/i.test(headers.expect)) return undefined;
  return new RidgelineError('expectation_failed');
}

export function sendProblem(reply: FastifyReply, error: RidgelineError): void {
  const { request } = reply;
  // An error that is meant for commands is an internal one here, and its text is not for callers.
  const shown = error.status === undefined ? new RidgelineError('internal', { cause: error }) : error;
  const status = shown.status ?? 500;
  reply.problem = shown;
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

export function toRidgelineError(error: FastifyError | RidgelineError, request: FastifyRequest): RidgelineError {
  if (error instanceof RidgelineError) return error;
  const { statusCode = 500 } = error;
  const other = statusCode >= 400 && statusCode < 500 ? 'invalid_request' : 'internal';
  const code = fastifyErrors[error.code] ?? other;
  const detail = code === 'body_too_large' ? String(request.routeOptions.bodyLimit) : undefined;
  return new RidgelineError(code, { cause: error, ...(detail && { detail }) });
}
