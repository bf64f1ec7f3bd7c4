/**
 * A keep-alive HTTP connection with one request under way at a time. It reads just enough of an answer to find its end,
 * past Node's streams: a general client would cost the load generator more than the service spends on the request.
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
  /** The same for a single request; rejects when the connection breaks first. */
  ask(request: Buffer): Promise<{ status: number; body: string }>;
  close(): void;
}

const SILENCE_MS = 60_000;
/**
 * All connections are read into the same memory, which is taken out of before the next is read: memory of its own for each
 * of hundreds would not fit the caches, and the load generator would be the slowest part.
 */
const arrivals = Buffer.allocUnsafe(64 * 1024);

export function openConnection(url: string): Promise<Connection> {
  const { hostname, port } = new URL(url);
  let begun: Buffer | undefined;
  let waiting: { onAnswer: (answer: HttpAnswer) => void; onFailure: (error: Error) => void } | undefined;

  function received(count: number, buffer: Uint8Array): boolean {
    const fresh = (buffer as Buffer).subarray(0, count);
    const bytes = begun ? Buffer.concat([begun, fresh]) : fresh;
    const answer = readAnswer(bytes);
    if (!answer) {
      begun = begun ? bytes : Buffer.from(bytes);
      return true;
    }
    begun = undefined;
    const { onAnswer } = waiting!;
    waiting = undefined;
    onAnswer(answer);
    return true;
  }

  const onread = { buffer: arrivals, callback: received };
  const socket = connect({ host: hostname, port: Number(port), noDelay: true, onread });
  socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error('no answer within a minute')));
  const fail = (error: Error) => {
    waiting?.onFailure(error);
    waiting = undefined;
  };
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the connection was closed before the answer')));

  const connection: Connection = {
    send(request, onAnswer, onFailure) {
      if (socket.destroyed) return onFailure(new Error('the connection is closed'));
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

/** The answer, once all of it is there. Every target declares its length. */
function readAnswer(bytes: Buffer): HttpAnswer | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd === -1) return undefined;
  const bodyAt = headEnd + HEAD_END.length;
  const length = readDigits(bytes, bytes.indexOf(CONTENT_LENGTH) + CONTENT_LENGTH.length);
  if (bytes.length < bodyAt + length) return undefined;
  return {
    status: readDigits(bytes, STATUS_AT),
    head: () => bytes.toString('latin1', 0, headEnd),
    body: () => bytes.toString('latin1', bodyAt),
  };
}

function readDigits(bytes: Buffer, start: number): number {
  let value = 0;
  for (let at = start; bytes[at]! >= 48 && bytes[at]! <= 57; at++) value = value * 10 + bytes[at]! - 48;
  return value;
}

export function postRequest(path: string, body: string): Buffer {
  const head = `POST ${path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
  return Buffer.from(`${head}\r\n\r\n${body}`, 'latin1');
}

export function getRequest(path: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nhost: bench\r\n\r\n`, 'latin1');
}
