/** What every answer carries: the request's id and, while the server drains, the end of the connection. */
import type { FastifyInstance, onSendHookHandler } from 'fastify';
import { dropUnreadBody } from '../connections/unread-bodies.ts';
import { ownHook } from '../fast-path/own-hooks.ts';
import type { Drain } from './drain.ts';
import { REQUEST_ID_HEADER } from './request-id.ts';

export function registerAnswers(app: FastifyInstance, { isDraining }: Pick<Drain, 'isDraining'>): void {
  app.addHook(
    'onSend',
    ownHook<onSendHookHandler>((request, reply, _payload, done) => {
      reply.header(REQUEST_ID_HEADER, request.id);
      if (isDraining()) reply.header('connection', 'close');
      dropUnreadBody(request.raw, reply.raw);
      done();
    }),
  );
}
