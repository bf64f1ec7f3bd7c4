/**
 * Sends a 200 of the predict routes by writing Node's response directly, past the header map, hooks and payload kinds of
 * Fastify's reply (decision 0005). Its plain twin is `reply.send`, which sends every answer of a scope on whose routes a
 * plugin has put a hook: headers of CORS or of a rate limit have to reach the caller.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { RouteCounts } from '../plugins/answer-counts.ts';
import { REQUEST_ID_HEADER } from '../plugins/request-id.ts';
import { type Hooks, hasForeignHooks } from './own-hooks.ts';

/** Answers 200 with an object whose JSON is ASCII. */
export type SendJson = (reply: FastifyReply, answer: object) => void;

export interface SendJsonOptions {
  fastPath: boolean;
  /** Whether every answer ends its connection. */
  isDraining: () => boolean;
  counts: RouteCounts;
}

/** For the routes that are added to `scope` from now on. */
export function createSendJson(scope: FastifyInstance, { fastPath, isDraining, counts }: SendJsonOptions): SendJson {
  const routes: Hooks[] = [];
  let isFast = false;
  // The object is kept, as a plugin may add hooks to it later.
  scope.addHook('onRoute', (route) => {
    routes.push(route);
  });
  scope.addHook('onReady', (done) => {
    isFast = fastPath && !hasForeignHooks(scope, routes);
    done();
  });
  return (reply, answer) => {
    if (!isFast) return void reply.send(answer);
    write(reply, JSON.stringify(answer), isDraining());
    counts.answered(200, reply.request.raw);
  };
}

function write(reply: FastifyReply, body: string, endsConnection: boolean): void {
  const { raw, request } = reply;
  const headers = [
    'content-type',
    'application/json; charset=utf-8',
    'content-length',
    String(body.length),
    REQUEST_ID_HEADER,
    request.id,
  ];
  if (endsConnection) headers.push('connection', 'close');
  reply.hijack();
  // Corked, head and body leave as one string in one write; end() alone would gather two.
  raw.socket?.cork();
  raw.writeHead(200, headers);
  raw.write(body, 'latin1');
  raw.socket?.uncork();
  raw.end();
}
