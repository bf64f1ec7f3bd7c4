/**
 * What every answer carries: the request's id and, while the server drains, the end of the connection. Most answers go
 * through Fastify's reply; a prediction is written to the socket's response at once, because the reply's general way
 * (header map, hooks, payload kinds) costs as much as validating, predicting and storing the row together.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Drain } from './drain.ts';
import { REQUEST_ID_HEADER } from './request-id.ts';

/** Answers 200 with a JSON text, past Fastify's reply. */
export type SendJson = (reply: FastifyReply, body: string) => void;

export function registerAnswers(app: FastifyInstance, { isDraining }: Drain): SendJson {
  app.addHook('onSend', (request, reply, _payload, done) => {
    reply.header(REQUEST_ID_HEADER, request.id);
    if (isDraining()) reply.header('connection', 'close');
    done();
  });

  return (reply, body) => {
    const headers = [
      'content-type',
      'application/json; charset=utf-8',
      'content-length',
      Buffer.byteLength(body),
      REQUEST_ID_HEADER,
      reply.request.id,
    ];
    if (isDraining()) headers.push('connection', 'close');
    reply.hijack();
    reply.raw.writeHead(200, headers);
    reply.raw.end(body);
  };
}
