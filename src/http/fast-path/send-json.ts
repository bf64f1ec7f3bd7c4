/**
 * What every answer carries: the request's id and, while the server drains, the end of the connection. Most answers go
 * through Fastify's reply; a prediction is written to the socket's response at once, because the reply's general way
 * (header map, hooks, payload kinds) costs as much as validating, predicting and storing the row together.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { dropUnreadBody } from '../connections/unread-bodies.ts';
import type { Drain } from '../plugins/drain.ts';
import { REQUEST_ID_HEADER } from '../plugins/request-id.ts';

/** Answers 200 with a JSON text in ASCII, past Fastify's reply. */
export type SendJson = (reply: FastifyReply, body: string) => void;

export function registerAnswers(app: FastifyInstance, { isDraining }: Pick<Drain, 'isDraining'>): SendJson {
  app.addHook('onSend', (request, reply, _payload, done) => {
    reply.header(REQUEST_ID_HEADER, request.id);
    if (isDraining()) reply.header('connection', 'close');
    dropUnreadBody(request.raw, reply.raw);
    done();
  });

  return (reply, body) => {
    const { raw, request } = reply;
    const headers = [
      'content-type',
      'application/json; charset=utf-8',
      'content-length',
      String(body.length),
      REQUEST_ID_HEADER,
      request.id,
    ];
    if (isDraining()) headers.push('connection', 'close');
    reply.hijack();
    // Corked and let go again, head and body leave as one string in one write; end() alone would make it two, gathered.
    raw.socket?.cork();
    raw.writeHead(200, headers);
    raw.write(body, 'latin1');
    raw.socket?.uncork();
    raw.end();
  };
}
