/**
 * What Node's HTTP parser refuses, or gives up waiting for. Each such request is answered exactly once, behind the answers
 * that its connection still owes to the requests before it, and leaves one log line under the id that the answer carries:
 *
 *   nothing was ever sent       -> no answer: the connection idles on (connections.ts)
 *   answers are pending         -> wait for them, then look again
 *   its body is being taken     -> the taker gets the error, and the route's way to an answer is used
 *   it has its answer already   -> the connection ends
 *   otherwise                   -> problem details on the bare socket, then the connection ends
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type ErrorCode, RidgelineError } from '../../errors.ts';
import type { WholeBodyRequest } from '../fast-path/whole-body-request.ts';
import { REQUEST_ID_HEADER } from '../plugins/request-id.ts';
import type { RequestLog } from '../plugins/request-log.ts';
import { PROBLEM_MEDIA_TYPE, toProblem } from '../schemas/problem.ts';
import { dropMore, endConnection, isEnding } from './end-connection.ts';
import { isAnsweredEarly } from './unread-bodies.ts';

/** As Node's server gives it. */
export interface ClientError extends Error {
  code?: string;
  /** The bytes that the parser was given last, if any. */
  rawPacket?: unknown;
  /** How much of it the parser had understood. */
  bytesParsed?: number;
}

export interface ClientErrorOptions {
  requestIdOf: (request: Pick<IncomingMessage, 'headers'>) => string;
  /** Told of each request that is answered here. */
  refused: RequestLog['refused'];
  /** How long a head and a whole request may take to arrive. */
  headersTimeoutMs: number;
  requestTimeoutMs: number;
}

const TIMEOUT = 'ERR_HTTP_REQUEST_TIMEOUT';
const TLS_HANDSHAKE = 0x16;

export function createClientErrorHandler(options: ClientErrorOptions) {
  const { requestIdOf, refused, headersTimeoutMs, requestTimeoutMs } = options;
  const waiting = new WeakSet<Socket>();

  function describe(error: ClientError, isBody: boolean): RidgelineError {
    if (error.code !== TIMEOUT) return new RidgelineError(codeOf(error), { detail: adviceOf(error), cause: error });
    const limitMs = isBody ? requestTimeoutMs : headersTimeoutMs;
    return new RidgelineError('request_timeout', { detail: String(limitMs / 1000), cause: error });
  }

  function refuse(error: ClientError, socket: Socket): void {
    const problem = describe(error, false);
    const requestId = requestIdOf({ headers: { [REQUEST_ID_HEADER]: idIn(error) } });
    refused(problem, { requestId, remoteAddress: socket.remoteAddress, reason: error.code });
    refuseOnSocket(socket, problem, requestId);
  }

  function handleBehindAnswers(error: ClientError, socket: Socket, response: ServerResponse): void {
    const request = response.req as WholeBodyRequest;
    if (!request.complete && request.refuse(describe(error, true))) return;
    waiting.add(socket);
    response.once('close', () => {
      waiting.delete(socket);
      handleClientError(error, socket);
    });
  }

  function handleClientError(error: ClientError, socket: Socket): void {
    const response = pendingResponse(socket);
    const isUnused = error.code === TIMEOUT && socket.bytesRead === 0;
    if (isEnding(socket)) dropMore(socket);
    else if (!socket.writable || error.code === 'ECONNRESET') socket.destroy();
    else if (isUnused || waiting.has(socket)) return;
    else if (response) handleBehindAnswers(error, socket, response);
    else if (isAnsweredEarly(socket)) endConnection(socket, { isMoreToCome: true });
    else refuse(error, socket);
  }

  return handleClientError;
}

/** Writes a problem where there is no request object to answer; then the connection ends. */
export function refuseOnSocket(socket: Socket, problem: RidgelineError, requestId: string): void {
  const status = problem.status ?? 400;
  const body = JSON.stringify(toProblem(problem, status, requestId));
  socket.write(
    `HTTP/1.1 ${status} ${problem.title}\r\nconnection: close\r\ncontent-type: ${PROBLEM_MEDIA_TYPE}\r\n` +
      `${REQUEST_ID_HEADER}: ${requestId}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  endConnection(socket, { isMoreToCome: problem.code !== 'request_timeout' });
}

/** The response that a connection is owed now. Node keeps it on the socket, which is not documented. */
export function pendingResponse(socket: Socket): ServerResponse | undefined {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;
}

function codeOf({ code }: ClientError): ErrorCode {
  return code === 'HPE_HEADER_OVERFLOW' ? 'headers_too_large' : 'invalid_request';
}

function adviceOf({ rawPacket }: ClientError): string {
  if (!Buffer.isBuffer(rawPacket)) return '';
  if (rawPacket[0] === TLS_HANDSHAKE) return 'This port speaks HTTP; what came is the beginning of HTTPS.';
  if (rawPacket.toString('latin1', 0, 6) === 'PROXY ') return 'The PROXY protocol is not spoken here.';
  return '';
}

/**
 * The x-request-id in the head that was refused, if the packet holds it: in the lines behind the last blank line that the
 * parser had understood. Whether it is acceptable is decided where ids are made.
 */
function idIn({ rawPacket, bytesParsed = 0 }: ClientError): string | undefined {
  if (!Buffer.isBuffer(rawPacket)) return undefined;
  const before = rawPacket.lastIndexOf('\r\n\r\n', Math.max(0, bytesParsed - 4), 'latin1');
  const [head] = rawPacket.toString('latin1', before === -1 ? 0 : before + 4).split('\r\n\r\n', 1);
  return /\r\nx-request-id:[ \t]*([^\r\n]*?)[ \t]*(?:\r\n(?![ \t])|$)/i.exec(head!)?.[1];
}
