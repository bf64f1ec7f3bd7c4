/**
 * One keep-alive HTTP connection that asks one question at a time. It reads just enough of an answer to find its end,
 * past the streams of Node: a general client would cost the load generator more than the service spends on the request.
 */
import { connect } from 'node:net';

export interface HttpAnswer {
  status: number;
  /** Status line and headers. */
  head(): string;
  body(): string;
}

export interface Connection {
  /** Sends a whole request. The answer's texts can be read during the call of `onAnswer` only. */
  send(request: Buffer, onAnswer: (answer: HttpAnswer) => void, onFailure: (error: Error) => void): void;
  /** Sends a whole request; rejects when the connection breaks first. */
  ask(request: Buffer): Promise<{ status: number; body: string }>;
  close(): void;
}

/** A question that nobody answers must not keep the benchmark for ever. */
const SILENCE_MS = 60_000;
/**
 * What arrives on any connection is read into the same memory, and taken out of it before the next is read: memory of its
 * own for each of hundreds would not fit the caches, and the load generator would be the slowest part.
 */
const arrivals = Buffer.allocUnsafe(64 * 1024);

export function openConnection(url: string): Promise<Connection> {
  const { hostname, port } = new URL(url);
  let begun: Buffer | undefined;
  let waiting: { onAnswer: (answer: HttpAnswer) => void; onFailure: (error: Error) => void } | undefined;

  function received(count: number, buffer: Uint8Array): boolean {
    const fresh = (buffer as Buffer).subarray(0, count);
    const bytes = begun ? Buffer.concat([begun, fresh]) : fresh;
    const answer = takeAnswer(bytes);
    if (answer === 'unreadable') {
      socket.destroy(new Error(`an answer without content-length:\n${bytes.toString('latin1')}`));
    } else if (answer === undefined) {
      begun = begun ? bytes : Buffer.from(bytes);
    } else {
      begun = undefined;
      const { onAnswer } = waiting!;
      waiting = undefined;
      onAnswer(answer);
    }
    return true;
  }

  const socket = connect({
    host: hostname,
    port: Number(port),
    noDelay: true,
    onread: { buffer: arrivals, callback: received },
  });
  socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error('no answer within a minute')));
  const end = (error: Error) => {
    waiting?.onFailure(error);
    waiting = undefined;
  };
  socket.on('error', end);
  socket.on('close', () => end(new Error('the connection was closed before the answer')));

  const connection: Connection = {
    send(request, onAnswer, onFailure) {
      if (socket.destroyed) {
        onFailure(new Error('the connection is closed'));
        return;
      }
      waiting = { onAnswer, onFailure };
      socket.write(request);
    },
    ask: (request) =>
      new Promise((resolve, reject) => {
        connection.send(request, ({ status, body }) => resolve({ status, body: body() }), reject);
      }),
    close: () => socket.destroy(),
  };
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(connection));
    socket.once('error', reject);
  });
}

const STATUS_AT = 'HTTP/1.1 '.length;
const HEAD_END = Buffer.from('\r\n\r\n', 'latin1');
const CONTENT_LENGTH = Buffer.from('\r\ncontent-length: ', 'latin1');

/** The answer, once all of it is there. One question is under way at a time, so nothing follows it. */
function takeAnswer(bytes: Buffer): HttpAnswer | 'unreadable' | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd === -1) return undefined;
  const field = bytes.indexOf(CONTENT_LENGTH);
  if (field === -1 || field > headEnd) return 'unreadable';
  const bodyAt = headEnd + HEAD_END.length;
  if (bytes.length < bodyAt + digitsAt(bytes, field + CONTENT_LENGTH.length)) return undefined;
  return {
    status: digitsAt(bytes, STATUS_AT),
    head: () => bytes.toString('latin1', 0, headEnd),
    body: () => bytes.toString('latin1', bodyAt),
  };
}

function digitsAt(bytes: Buffer, start: number): number {
  let value = 0;
  for (let at = start; bytes[at]! >= 48 && bytes[at]! <= 57; at++) value = value * 10 + bytes[at]! - 48;
  return value;
}

export function postRequest(path: string, body: string): Buffer {
  const head = [
    `POST ${path} HTTP/1.1`,
    'host: bench',
    'content-type: application/json',
    `content-length: ${body.length}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`, 'latin1');
}

export function getRequest(path: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nhost: bench\r\n\r\n`, 'latin1');
}
