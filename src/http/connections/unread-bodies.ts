/**
 * Requests that are answered before they have arrived: refused for their route, type or size, or with a body that nobody
 * asks for. The rest of a body is read and dropped. When it arrives within the limits of end-connection.ts, the connection
 * takes the next request, else it ends. No second answer is ever written for such a request.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { WholeBodyRequest } from '../fast-path/whole-body-request.ts';
import { endConnection, LINGER_BYTES, LINGER_MS } from './end-connection.ts';

/** The last request of a connection that was answered early. */
const answeredEarly = new WeakMap<Socket, WholeBodyRequest>();

/** Whether the request that still arrives has its answer already. */
export function isAnsweredEarly(socket: Socket): boolean {
  return answeredEarly.get(socket)?.complete === false;
}

/** To be called when the answer to a request is sent. Does nothing if all of the request has arrived. */
export function dropUnreadBody(request: IncomingMessage, response: ServerResponse): void {
  if (request.complete || !(request instanceof WholeBodyRequest)) return;
  const { socket } = request;
  request.dropRest(LINGER_BYTES);
  answeredEarly.set(socket, request);
  response.once('finish', () => {
    if (request.complete) return;
    const end = () => {
      if (!request.complete) endConnection(socket, { isMoreToCome: true });
    };
    setTimeout(end, LINGER_MS).unref();
  });
}
