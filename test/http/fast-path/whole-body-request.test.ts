import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WholeBodyRequest } from '../../../src/http/fast-path/whole-body-request.ts';
import { eventually } from '../../support/eventually.ts';

const PIECE_BYTES = 16 * 1024;
const LONG_BYTES = 256 * 1024;
const LIMIT = LONG_BYTES + 1000;

/** What each request's body was taken as: its text, or the code of the error. */
let taken: string[];
let server: Server<typeof WholeBodyRequest>;

beforeEach(async () => {
  taken = [];
  server = createServer({ IncomingMessage: WholeBodyRequest }, (request, response) => {
    if (request.url === '/ignored') return response.end('ignored\n');
    if (request.url === '/stream') {
      request.on('data', (piece: Buffer) => taken.push(piece.toString()));
      request.on('end', () => response.end('streamed\n'));
      return;
    }
    request.takeBody(LIMIT, (error, body) => {
      taken.push(error ? error.code : body!.toString());
      response.end(`${taken.length}\n`);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

function open() {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  let received = '';
  socket.setNoDelay(true);
  socket.on('data', (piece) => {
    received += piece.toString();
  });
  return {
    socket,
    send: (text: string) => socket.write(text),
    answers: async (count: number) => {
      await eventually(async () => received.split('HTTP/1.1 200').length - 1 >= count);
      return received;
    },
  };
}

const post = (body: string, path = '/') =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
const CHUNKED = 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n';
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

describe('a body that is taken whole', () => {
  test('arrives with its head, and the connection takes the next request', async () => {
    const { send, answers } = open();
    for (const count of [1, 2, 3]) {
      send(post(`body ${count}`));
      await answers(count);
    }
    expect(taken).toEqual(['body 1', 'body 2', 'body 3']);
  });

  test('arrives byte by byte', async () => {
    const { send, answers } = open();
    for (const byte of post('slow')) {
      send(byte);
      await delay(2);
    }
    await answers(1);
    expect(taken).toEqual(['slow']);
  });

  test('is put together apart from others that arrive meanwhile, one of which never ends', async () => {
    const length = 5 * PIECE_BYTES;
    const lost = open();
    const callers = ['a', 'b', 'c'].map((letter) => ({ ...open(), letter }));
    for (const { send } of [lost, ...callers]) send(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`);
    await delay(10);
    lost.send('x'.repeat(2 * PIECE_BYTES));
    for (let sent = 0; sent < length; sent += PIECE_BYTES) {
      for (const { send, letter } of callers) send(letter.repeat(PIECE_BYTES));
      await delay(10);
      lost.socket.destroy();
    }
    await Promise.all(callers.map(({ answers }) => answers(1)));
    expect(taken.toSorted()).toEqual([...['a', 'b', 'c'].map((letter) => letter.repeat(length)), 'invalid_request']);
  });

  test('may be much longer than a piece', async () => {
    const length = LONG_BYTES + 1;
    const { send, answers } = open();
    const body = 'abcdefghijklm'.repeat(length).slice(0, length);
    for (const _ of [1, 2]) send(post(body));
    await answers(2);
    expect(taken.map((text) => text === body)).toEqual([true, true]);
  });

  test('arrives in chunks without a declared length, empty ones too', async () => {
    const { send, answers } = open();
    send(`${CHUNKED}${chunk('one ')}`);
    await delay(20);
    send(`${chunk('two')}0\r\n\r\n`);
    send(`${CHUNKED}0\r\n\r\n`);
    send(post(''));
    await answers(3);
    expect(taken).toEqual(['one two', '', '']);
  });

  test('arrives for each of several requests in one packet, in their order', async () => {
    const { send, answers } = open();
    send(['a', 'b', 'c'].map((body) => post(body)).join(''));
    expect((await answers(3)).match(/^\d$/gm)).toEqual(['1', '2', '3']);
    expect(taken).toEqual(['a', 'b', 'c']);
  });

  test('is refused by its declared length before it is sent', async () => {
    const { send, answers } = open();
    send(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${LIMIT + 1}\r\n\r\n`);
    await answers(1);
    expect(taken).toEqual(['body_too_large']);
  });

  test('is refused once when its chunks pass the limit; the rest is dropped and the next request answered', async () => {
    const { send, answers } = open();
    send(CHUNKED + chunk('x'.repeat(LIMIT)));
    await delay(20);
    expect(taken).toEqual([]);
    for (let i = 0; i < 3; i++) send(chunk('x'));
    await answers(1);
    send(`0\r\n\r\n${post('next')}`);
    await answers(2);
    expect(taken).toEqual(['body_too_large', 'next']);
  });

  test('is an error, once, when the connection ends before it', async () => {
    const { socket, send } = open();
    send(`${CHUNKED}${chunk('half')}`);
    await delay(20);
    socket.destroy();
    await eventually(async () => taken.length > 0);
    await delay(20);
    expect(taken).toEqual(['invalid_request']);
  });
});

describe('a body that nobody takes', () => {
  test('is a stream', async () => {
    const { send, answers } = open();
    send(post('streamed', '/stream'));
    await answers(1);
    expect(taken).toEqual(['streamed']);
  });

  test('is drained, so that the connection takes the next request', async () => {
    const { send, answers } = open();
    send(post('x'.repeat(200_000), '/ignored') + post('next'));
    await answers(2);
    expect(taken).toEqual(['next']);
  });
});
