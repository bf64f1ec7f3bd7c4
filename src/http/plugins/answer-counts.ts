/**
 * Counts what a port answers: plain numbers, as every request pays for them, which are read when somebody asks for the metrics.
 * An answer is counted where it is sent, whichever way that is; what a caller has not waited for is counted too.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest, onSendHookHandler } from 'fastify';
import { errorCodes, RidgelineError } from '../../errors.ts';
import { createHistogram } from '../../metrics/histogram.ts';
import type { AnswerFacts } from '../../metrics/service-samples.ts';
import { ownHook } from '../fast-path/own-hooks.ts';
import type { WholeBodyRequest } from '../fast-path/whole-body-request.ts';

export interface RouteCounts {
  /** Counts one answer to this request. */
  answered(status: number, request: IncomingMessage): void;
}

export interface AnswerCounts {
  /** Counts what the routes of `app` send by their hooks. */
  register(app: FastifyInstance): void;
  /** Counts an answer that no hook of `app` sees. */
  failed(request: FastifyRequest, reply: FastifyReply): void;
  /** Counts the answer to what never became a request. */
  refused(problem: RidgelineError): void;
  /** For answers that are sent past the hooks. */
  ofRoute(route: string): RouteCounts;
  facts(): AnswerFacts;
}

const NO_ROUTE = 'none';
const problemCodes = errorCodes.filter((code) => new RidgelineError(code).status !== undefined);
const STATUSES = 600;

export function createAnswerCounts(): AnswerCounts {
  const routes = new Map<string, ReturnType<typeof createRouteCounts>>();
  // From 0 on, as an alert on the growth of a count does not see its first step otherwise.
  const refusals = new Map(problemCodes.map((code) => [code, 0]));

  function ofRoute(route: string) {
    const counts = routes.get(route) ?? createRouteCounts();
    routes.set(route, counts);
    return counts;
  }

  const noteRefusal = ({ code }: RidgelineError) => refusals.set(code, refusals.get(code)! + 1);

  function count(request: FastifyRequest, reply: FastifyReply): void {
    const route = request.is404 ? NO_ROUTE : (request.routeOptions.url ?? NO_ROUTE);
    ofRoute(route).answered(reply.statusCode, request.raw);
    if (reply.problem) noteRefusal(reply.problem);
  }

  return {
    register(app) {
      app.addHook(
        'onSend',
        ownHook<onSendHookHandler>((request, reply, _payload, done) => {
          count(request, reply);
          done();
        }),
      );
    },
    failed: count,
    refused(problem) {
      ofRoute(NO_ROUTE).counted(problem.status ?? 400);
      noteRefusal(problem);
    },
    ofRoute,
    facts: () => ({
      routes: [...routes].map(([route, counts]) => ({ route, ...counts.facts() })),
      refusals: [...refusals],
    }),
  };
}

function createRouteCounts() {
  /** By status. */
  const answers = new Float64Array(STATUSES);
  const durations = createHistogram();
  return {
    counted(status: number) {
      answers[status]!++;
    },
    answered(status: number, request: IncomingMessage) {
      answers[status]!++;
      const { arrivedAt } = request as Partial<WholeBodyRequest>;
      if (arrivedAt !== undefined) durations.observe((performance.now() - arrivedAt) / 1000);
    },
    facts: () => ({
      statuses: [...answers.entries()].filter(([, count]) => count > 0),
      durations: durations.value(),
    }),
  };
}
