/**
 * What a connection may do besides sending whole requests: idle before its first one, fall silent in the middle of one,
 * ask for a tunnel, expect something before its body. Node's own answers to these are silence or an empty body.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { RidgelineError } from '../../errors.ts';
import type { WholeBodyRequest } from '../fast-path/whole-body-request.ts';
import type { RequestLog } from '../plugins/request-log.ts';
import { type ClientError, pendingResponse, refuseOnSocket } from './client-errors.ts';
import { endConnection } from './end-connection.ts';
import { isAnsweredEarly } from './unread-bodies.ts';

export interface ConnectionOptions {
  /**
   * How long a connection is kept that has sent nothing yet, or does not read what it is sent. One that was used and waits
   * is kept for the server's keepAliveTimeout.
   */
  idleMs: number;
  onClientError: (error: ClientError, socket: Socket) => void;
  requestIdOf: (request: Pick<IncomingMessage, 'headers'>) => string;
  refused: RequestLog['refused'];
}

const LOOKS_IN_IDLE_TIME = 8;

export function registerConnections(server: Server, options: ConnectionOptions): void {
  const { idleMs, onClientError, requestIdOf, refused } = options;

  // Otherwise Node ends a connection as soon as its peer has closed its half, before the pending answer is sent.
  Object.assign(server, { httpAllowHalfOpen: true });

  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // Node replaces it by its own timeout when the connection has been answered.
    socket.setTimeout(idleMs);
    // Node calls this after an answer with `Connection: close`; its own would wait for as long as the peer likes.
    socket.destroySoon = endAnswered;
  });

  // From its second request on, Node limits the time to read answers no longer. A timeout set with each request would cost
  // each something, so connections with unread answers are searched for instead.
  const looking = setInterval(() => {
    for (const socket of sockets) if (socket.writableLength > 0 && !socket.timeout) socket.setTimeout(idleMs);
  }, idleMs / LOOKS_IN_IDLE_TIME).unref();
  server.on('close', () => clearInterval(looking));

  server.on('timeout', (socket: Socket) => {
    const response = pendingResponse(socket);
    const isArriving = response && !response.req.complete && !response.headersSent;
    const isWorkedOn = response?.req.complete && !response.headersSent;
    if (isArriving) onClientError(Object.assign(new Error('silent'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
    else if (!isWorkedOn) socket.destroy();
  });

  // CONNECT, which nothing else answers.
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    socket.on('error', () => socket.destroy());
    // Bytes behind the head are dropped.
    socket.resume();
    const problem = new RidgelineError('invalid_request', { detail: 'This is no proxy: CONNECT leads nowhere.' });
    const requestId = requestIdOf(request);
    refused(problem, { requestId, remoteAddress: socket.remoteAddress, reason: 'CONNECT' });
    refuseOnSocket(socket, problem, requestId);
  });

  // 100 Continue is sent when the body is wanted: a request that is refused should not send it in vain.
  server.on('checkContinue', (request: WholeBodyRequest, response: ServerResponse) => {
    request.beforeBody = () => {
      if (!response.headersSent) response.writeContinue();
    };
    server.emit('request', request, response);
  });
  // An expectation that nobody knows is refused as other faults of a head are, in plugins/problem-details.ts.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
}

function endAnswered(this: Socket): void {
  endConnection(this, { isMoreToCome: isAnsweredEarly(this) });
}
