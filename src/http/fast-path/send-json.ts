/**
 * How a 200 of the predict routes leaves. Written to the socket's response at once, as the reply's general way (header
 * map, hooks, payload kinds) costs as much as validating, predicting and storing a row together. Its plain twin is
 * `reply.send`, which is taken for every answer of a scope on whose routes a plugin has put a hook: a header of CORS or of
 * a rate limit is the caller's as well.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { REQUEST_ID_HEADER } from '../plugins/request-id.ts';
import { type Hooks, hasForeignHooks } from './own-hooks.ts';

/** Answers 200 with an object whose JSON is ASCII. */
export type SendJson = (reply: FastifyReply, answer: object) => void;

export interface SendJsonOptions {
  fastPath: boolean;
  /** Whether every answer ends its connection. */
  isDraining: () => boolean;
}

/** For the routes that `scope` gets from now on. */
export function createSendJson(scope: FastifyInstance, { fastPath, isDraining }: SendJsonOptions): SendJson {
  const routes: Hooks[] = [];
  let isFast = false;
  // What a plugin adds to a route later it adds to this object.
  scope.addHook('onRoute', (route) => {
    routes.push(route);
  });
  scope.addHook('onReady', (done) => {
    isFast = fastPath && !hasForeignHooks(scope, routes);
    done();
  });
  return (reply, answer) => {
    if (isFast) write(reply, JSON.stringify(answer), isDraining());
    else reply.send(answer);
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
  // Corked and let go again, head and body leave as one string in one write; end() alone would make it two, gathered.
  raw.socket?.cork();
  raw.writeHead(200, headers);
  raw.write(body, 'latin1');
  raw.socket?.uncork();
  raw.end();
}
