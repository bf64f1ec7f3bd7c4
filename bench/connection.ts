/**
 * One keep-alive HTTP connection that asks one question at a time. It reads just enough of an answer to find its end:
 * a general client would cost the load generator more than the service spends on the request.
 */
import { connect } from 'node:net';

export interface HttpAnswer {
  status: number;
  /** Status line and headers. */
  head: string;
  body: string;
}

export interface Connection {
  /** Sends a whole request; rejects when the connection breaks first. */
  ask(request: Buffer): Promise<HttpAnswer>;
  close(): void;
}

/** A question that nobody answers must not keep the benchmark for ever. */
const SILENCE_MS = 60_000;

export function openConnection(url: string): Promise<Connection> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  socket.setEncoding('latin1');
  socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error('no answer within a minute')));
  let received = '';
  let waiting: { resolve: (answer: HttpAnswer) => void; reject: (error: Error) => void } | undefined;

  socket.on('data', (text: string) => {
    received += text;
    const answer = takeAnswer(received);
    if (answer === 'unreadable') socket.destroy(new Error(`an answer without content-length:\n${received}`));
    if (typeof answer !== 'object') return;
    received = '';
    const { resolve } = waiting!;
    waiting = undefined;
    resolve(answer);
  });
  const end = (error: Error) => {
    waiting?.reject(error);
    waiting = undefined;
  };
  socket.on('error', end);
  socket.on('close', () => end(new Error('the connection was closed before the answer')));

  const connection: Connection = {
    ask: (request) =>
      new Promise((resolve, reject) => {
        if (socket.destroyed) return reject(new Error('the connection is closed'));
        waiting = { resolve, reject };
        socket.write(request);
      }),
    close: () => socket.destroy(),
  };
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(connection));
    socket.once('error', reject);
  });
}

/** The answer, once all of it is there. One question is under way at a time, so nothing follows it. */
function takeAnswer(received: string): HttpAnswer | 'unreadable' | undefined {
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd === -1) return undefined;
  const head = received.slice(0, headEnd);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1]);
  if (Number.isNaN(length)) return 'unreadable';
  const body = received.slice(headEnd + 4);
  if (body.length < length) return undefined;
  return { status: Number(head.slice(9, 12)), head, body };
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
