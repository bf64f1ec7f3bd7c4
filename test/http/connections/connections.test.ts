/** What callers do to connections besides sending whole requests, and how each connection ends. */
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { describe, expect, type TestContext, test } from 'vitest';
import { registerConnections } from '../../../src/http/connections/connections.ts';
import { registerRowBodies } from '../../../src/http/fast-path/body-bytes.ts';
import { createSendJson } from '../../../src/http/fast-path/send-json.ts';
import { createAnswerCounts } from '../../../src/http/plugins/answer-counts.ts';
import { registerAnswers } from '../../../src/http/plugins/answers.ts';
import { createHttp } from '../../../src/http/server.ts';
import { contractOf } from '../../support/declaration.ts';
import { eventually } from '../../support/eventually.ts';

const BODY_LIMIT = 1000;

interface Running {
  http: FastifyInstance;
  lines: Record<string, unknown>[];
  /** The bodies that came to the route. */
  bodies: string[];
  open(): Client;
  /** Sends, and waits for the end of what comes back. */
  exchange(...pieces: string[]): Promise<Client>;
  /** Waits until the server holds no connection. */
  allGone(): Promise<unknown>;
}

interface Client {
  socket: Socket;
  received(): string;
  statuses(): number[];
}

/** How the bodies of /echo are read: past Fastify's stream, or as those of any route. */
const ways = ['fast', 'ordinary'] as const;
type Way = (typeof ways)[number];

const ECHO_MS = 20;

function registerEcho(http: FastifyInstance, bodies: string[]): void {
  http.post('/echo', async ({ body }) => {
    bodies.push(String(body));
    await delay(ECHO_MS);
    return { body };
  });
}

function registerFastEcho(scope: FastifyInstance, bodies: string[]): void {
  const decode = (bytes: Buffer | undefined) => ({
    value: { contract: contractOf([{ name: 'n', dtype: 'float64' }]), rows: 1, features: [Number(bytes)] },
  });
  registerRowBodies(scope, { decode, fastPath: true });
  const sendJson = createSendJson(scope, {
    fastPath: true,
    isDraining: () => false,
    counts: createAnswerCounts().ofRoute('/test'),
  });
  scope.post<{ Body: ReturnType<typeof decode> }>('/echo', ({ body }, reply) => {
    bodies.push(String(body.value.features[0]));
    setTimeout(() => sendJson(reply, { body }), ECHO_MS);
  });
}

/** A server for one test: they run at the same time, as most of them wait for a connection to end. */
async function start(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  way: Way = 'fast',
  hookMs = 0,
): Promise<Running> {
  const lines: Record<string, unknown>[] = [];
  const bodies: string[] = [];
  const write = (line: string) => lines.push(JSON.parse(line));
  const http = createHttp({
    bodyLimitBytes: BODY_LIMIT,
    log: pino({ formatters: { level: (level) => ({ level }) } }, { write }),
  });
  registerAnswers(http, { isDraining: () => false });
  // As a plugin's that asks somebody about the caller.
  if (hookMs > 0) http.addHook('onRequest', () => delay(hookMs));
  if (way === 'ordinary') registerEcho(http, bodies);
  else
    http.register((scope, _options, done) => {
      registerFastEcho(scope, bodies);
      done();
    });
  http.get('/now', async () => ({ status: 'ok' }));
  http.server.headersTimeout = 300;
  http.server.requestTimeout = 600;
  const port = Number(new URL(await http.listen({ port: 0, host: '127.0.0.1' })).port);
  onTestFinished(async () => {
    http.server.closeAllConnections();
    await http.close();
  });
  const connections = () =>
    new Promise<number>((resolve, reject) => {
      http.server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  const open = () => openClient(port);
  return {
    http,
    lines,
    bodies,
    open,
    async exchange(...pieces) {
      const client = open();
      const ended = new Promise((resolve) => client.socket.once('end', resolve).once('close', resolve));
      for (const piece of pieces) {
        client.socket.write(piece, 'latin1');
        await delay(20);
      }
      await ended;
      return client;
    },
    allGone: () => eventually(async () => (await connections()) === 0),
  };
}

/** A client that never closes its half by itself. */
function openClient(port: number): Client {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let received = '';
  socket.setNoDelay(true);
  socket.on('data', (piece) => {
    received += piece.toString('latin1');
  });
  socket.on('error', () => undefined);
  return {
    socket,
    received: () => received,
    statuses: () => [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)),
  };
}

const post = (body: string, headers = '') =>
  `POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${headers}content-length: ${body.length}\r\n\r\n${body}`;
const CHUNKED =
  'POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nx-request-id: mine\r\n\r\n';

function problemIn(received: string): Record<string, unknown> {
  const at = Math.max(...[...received.matchAll(/HTTP\/1\.1 \d{3} /g)].map(({ index }) => index));
  expect(received.slice(at)).toContain('content-type: application/problem+json');
  const problem = JSON.parse(received.slice(received.indexOf('\r\n\r\n', at) + 4)) as Record<string, unknown>;
  expect(/x-request-id: (.*)\r\n/.exec(received.slice(at))?.[1]).toBe(problem.request_id);
  return problem;
}

/** Each ends with one problem, whose id is in one log line. */
const refused: [name: string, status: number, ...pieces: string[]][] = [
  ['half a head', 408, 'POST /echo HTTP/1.1\r\nhost: x\r\n'],
  ['a head byte by byte', 408, ...'GET /now HTTP/1.1\r\nhost: x\r\nslow: 1234567890'],
  ['half a body', 408, post('{"a":1}').slice(0, -3)],
  ['half a chunk', 408, `${CHUNKED}5\r\n12`],
  ['garbage', 400, 'GARBAGE\r\n\r\n'],
  ['the beginning of TLS', 400, '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03'],
  ['the PROXY protocol', 400, 'PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET /now HTTP/1.1\r\nhost: x\r\n\r\n'],
  ['a broken chunk', 400, `${CHUNKED}zz\r\n`],
  ['a chunk that breaks later', 400, `${CHUNKED}2\r\n{}\r\n`, 'zz\r\n'],
  ['an oversized head', 431, `GET /now HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`],
  ['two lengths', 400, post('{}', 'content-length: 7\r\n')],
  ['a length and chunks', 400, post('{}', 'transfer-encoding: chunked\r\n')],
  ['CONNECT', 400, 'CONNECT x:443 HTTP/1.1\r\nhost: x:443\r\n\r\n'],
  [
    'a declared body too large',
    413,
    `POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n`,
  ],
  [
    'a half-sent body of another type',
    415,
    'POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 10\r\n\r\n12',
  ],
  ['a half-sent body to no route', 404, 'POST /nope HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12'],
  ['a half-sent body for another method', 405, 'PUT /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12'],
  [
    'a body in chunks without an end to no route',
    404,
    'POST /nope HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n12\r\n',
  ],
  [
    'HTTP/1.0 with half a body',
    408,
    'POST /echo HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n12',
  ],
];

describe.concurrent.each(ways)('a refused connection, bodies %s', (way) => {
  // What has no body is the same in both.
  test.for(refused.filter(([name]) => way === 'fast' || /body|chunk/.test(name)))(
    'is answered once and closed, whatever its peer does: %s',
    async ([_name, status, ...pieces], context) => {
      const { lines, exchange, allGone } = await start(context, way);
      const { statuses, received } = await exchange(...pieces);
      expect(statuses()).toEqual([status]);
      const problem = problemIn(received());
      await allGone();
      expect(statuses()).toEqual([status]);
      expect(lines.filter(({ requestId }) => requestId === problem.request_id)).toEqual([
        expect.objectContaining({
          msg: 'request',
          level: 'info',
          statusCode: status,
          code: String(problem.type).split(':')[3],
        }),
      ]);
      expect(lines).toHaveLength(1);
    },
  );

  test('is closed although the peer reads nothing', async (context) => {
    const { lines, open, allGone } = await start(context, way);
    const silent = Array.from({ length: 5 }, () => open().socket.pause());
    for (const socket of silent) socket.write('GARBAGE\r\n\r\n');
    await eventually(async () => lines.length === 5);
    await allGone();
    for (const socket of silent) socket.destroy();
  });

  test('drops what still comes, and no more than for a moment', async (context) => {
    const { lines, open, allGone } = await start(context, way);
    const { socket, statuses } = open();
    socket.write('GARBAGE\r\n\r\n');
    const flood = setInterval(() => socket.write('x'.repeat(10_000)), 5);
    await eventually(async () => statuses().length === 1);
    await allGone();
    clearInterval(flood);
    expect(statuses()).toEqual([400]);
    expect(lines).toHaveLength(1);
  });
});

describe.concurrent.each(ways)('a request at which a hook waits, bodies %s', (way) => {
  test.for<[string, number, ...string[]]>([
    ['comes whole', 200, post('1')],
    ['comes in chunks', 200, CHUNKED, '1\r\n1\r\n', '1\r\n2\r\n', '0\r\n\r\n'],
    ['has a broken chunk', 400, `${CHUNKED}2\r\n12\r\n`, 'zz\r\n'],
    ['is too large in chunks', 413, CHUNKED, ...Array<string>(3).fill(`200\r\n${'1'.repeat(0x200)}\r\n`)],
    ['never ends', 408, post('12345').slice(0, -2)],
  ])('is answered once: it %s', async ([_name, status, ...pieces], context) => {
    const { bodies, open, allGone } = await start(context, way, 100);
    const { socket, statuses } = open();
    for (const piece of pieces) {
      socket.write(piece);
      await delay(20);
    }
    await eventually(async () => statuses().length > 0);
    if (status === 200) socket.end();
    await allGone();
    expect(statuses()).toEqual([status]);
    expect(bodies).toHaveLength(status === 200 ? 1 : 0);
  });

  test('leaves nothing behind where its caller goes away', async (context) => {
    const { bodies, open, allGone } = await start(context, way, 100);
    const { socket } = open();
    socket.write(post('12345').slice(0, -2));
    await delay(20);
    socket.destroy();
    await allGone();
    await delay(150);
    expect(bodies).toEqual([]);
  });
});

describe.concurrent.each(ways)('the answers of one connection, bodies %s', (way) => {
  test('come before the refusal of what stands behind their requests in one packet', async (context) => {
    const { bodies, exchange, allGone } = await start(context, way);
    const { statuses, received } = await exchange(`${post('1')}${post('2')}${post('3')}GARBAGE\r\n\r\n`);
    expect(statuses()).toEqual([200, 200, 200, 400]);
    expect(bodies).toEqual(['1', '2', '3']);
    problemIn(received());
    await allGone();
  });

  test('come before the 408 of half a request behind them', async (context) => {
    const { bodies, exchange, allGone } = await start(context, way);
    const { statuses } = await exchange(post('1') + post('22222').slice(0, -2));
    expect(statuses()).toEqual([200, 408]);
    expect(bodies).toEqual(['1']);
    await allGone();
  });

  test('are all there when garbage follows a request that is refused', async (context) => {
    const { exchange, allGone } = await start(context, way);
    const { statuses } = await exchange(`${post('1')}GET /nope HTTP/1.1\r\nhost: x\r\n\r\nGARBAGE\r\n\r\n`);
    expect(statuses()).toEqual([200, 404, 400]);
    await allGone();
  });

  test('are one for a request that was answered before its broken body came', async (context) => {
    const { exchange, allGone } = await start(context, way);
    const { statuses } = await exchange(`${CHUNKED.replace('/echo', '/nope')}2\r\n{}\r\n`, 'zz\r\n', 'zz\r\n');
    expect(statuses()).toEqual([404]);
    await allGone();
  });

  test('are one where the caller wanted to close after it, whatever follows', async (context) => {
    const { exchange, allGone } = await start(context, way);
    const { statuses } = await exchange(`${post('1', 'connection: close\r\n')}GARBAGE\r\n\r\n`);
    expect(statuses()).toEqual([200]);
    await allGone();
  });

  test('reach a caller that has closed its own half already', async (context) => {
    const { open, allGone } = await start(context, way);
    const { socket, statuses } = open();
    socket.end(post('1'));
    await eventually(async () => statuses().length === 1);
    expect(statuses()).toEqual([200]);
    await allGone();
  });
});

describe.concurrent.each(ways)('a connection that idles, bodies %s', (way) => {
  test('before its first request is not answered, and then serves', async (context) => {
    const { open } = await start(context, way);
    const { socket, received, statuses } = open();
    await delay(2_500);
    expect(received()).toBe('');
    socket.write(post('1'));
    await eventually(async () => statuses().length === 1);
    socket.write(post('2').slice(0, -1));
    await eventually(async () => statuses().length === 2);
    expect(statuses()).toEqual([200, 408]);
  });

  test('before its first request is closed without an answer after as long as a used one', async (context) => {
    const { http, open } = await start(context, way);
    const used = open();
    used.socket.write(post('1'));
    await eventually(async () => used.statuses().length === 1);
    const idleMs = (socket: Socket) => socket.timeout;
    const unused = new Promise<Socket>((resolve) => http.server.once('connection', resolve));
    const { socket, received } = open();
    const served = await unused;
    expect(idleMs(served)).toBe(http.server.keepAliveTimeout);
    served.setTimeout(50);
    await eventually(async () => served.destroyed);
    expect(received()).toBe('');
    socket.destroy();
  });

  test('in the middle of a body is told so', async (context) => {
    const { http, open, allGone } = await start(context, way);
    http.server.once('request', ({ socket: served }) => served.setTimeout(100));
    http.server.requestTimeout = 0;
    const { socket, statuses } = open();
    socket.write(post('12345').slice(0, -2));
    await eventually(async () => statuses().length === 1);
    expect(statuses()).toEqual([408]);
    await allGone();
  });

  test('while its request is worked on is let alone', async (context) => {
    const { http, open } = await start(context, way);
    http.server.once('request', ({ socket: served }) => served.setTimeout(5));
    const { socket, statuses } = open();
    socket.write(post('1'));
    await eventually(async () => statuses().length === 1);
    expect(statuses()).toEqual([200]);
  });
});

test('a peer that does not read is given up after as long as an idle one, on its second request too', async () => {
  const server = createServer((request, response) =>
    response.end('x'.repeat(request.url === '/large' ? 20_000_000 : 1)),
  );
  const nobody = () => {
    throw new Error('nobody is refused here');
  };
  registerConnections(server, {
    idleMs: 200,
    onClientError: nobody,
    requestIdOf: () => '',
    refused: nobody,
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { socket, statuses } = openClient((server.address() as AddressInfo).port);
  const ended = new Promise((resolve) => server.once('connection', (served: Socket) => served.once('close', resolve)));
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await eventually(async () => statuses().length === 1);
  socket.pause();
  socket.write('GET /large HTTP/1.1\r\nhost: x\r\n\r\n');
  await ended;
  socket.destroy();
  server.close();
});

describe.concurrent.each(ways)('a caller that sends everything before it reads, bodies %s', (way) => {
  test.for<[string, string]>([
    ['413', post('x'.repeat(5_000_000))],
    ['413 in chunks', `${CHUNKED}${'400\r\n'.concat('x'.repeat(0x400), '\r\n').repeat(3000)}0\r\n\r\n`],
    ['415', post('x'.repeat(5_000_000)).replace('application/json', 'text/plain')],
    ['404', post('x'.repeat(5_000_000)).replace('/echo', '/nope')],
    ['405', post('x'.repeat(5_000_000)).replace('POST', 'PUT')],
    ['431', `GET /now HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(5_000_000)}\r\n\r\n`],
  ])('reads its answer: %s', async ([status, request], context) => {
    const { open, allGone } = await start(context, way);
    const { socket, statuses } = open();
    socket.pause();
    const failed = new Promise((_resolve, reject) => socket.once('error', reject));
    const sent = new Promise<void>((resolve) => socket.write(request, () => resolve()));
    await Promise.race([sent, failed]);
    socket.resume();
    await eventually(async () => statuses().length === 1);
    expect(statuses()).toEqual([Number(status.slice(0, 3))]);
    socket.destroy();
    await allGone();
  });

  test('may send the next request behind a refused body that has come', async (context) => {
    const { open } = await start(context, way);
    const { socket, statuses } = open();
    socket.write(post('x'.repeat(900)).replace('/echo', '/nope') + post('1'));
    await eventually(async () => statuses().length === 2);
    expect(statuses()).toEqual([404, 200]);
  });
});

describe.concurrent.each(ways)('a head that Node would answer itself, bodies %s', (way) => {
  test('without Host is 400 with a problem; HTTP/1.0 needs none', async (context) => {
    const { open, exchange } = await start(context, way);
    const client = open();
    client.socket.write('GET /now HTTP/1.1\r\nx-request-id: mine\r\n\r\n');
    await eventually(async () => client.statuses().length === 1);
    expect(problemIn(client.received())).toMatchObject({ status: 400, request_id: 'mine' });
    expect((await exchange('GET /now HTTP/1.0\r\n\r\n')).statuses()).toEqual([200]);
  });

  test('with an unknown expectation is 417 with a problem', async (context) => {
    const { bodies, open } = await start(context, way);
    const client = open();
    client.socket.write(post('1', 'expect: the-impossible\r\n'));
    await eventually(async () => client.statuses().length === 1);
    expect(problemIn(client.received())).toMatchObject({ status: 417, type: 'urn:ridgeline:error:expectation_failed' });
    client.socket.write(post('1'));
    await eventually(async () => client.statuses().length === 2);
    expect(bodies).toEqual(['1']);
  });

  test('that expects 100-continue is told to go on when its body is wanted, and refused at once when not', async (context) => {
    const { open } = await start(context, way);
    const wanted = open();
    const [head, body] = post('12345', 'expect: 100-continue\r\n').split('\r\n\r\n');
    wanted.socket.write(`${head}\r\n\r\n`);
    await eventually(async () => wanted.statuses().length === 1);
    wanted.socket.write(body!);
    await eventually(async () => wanted.statuses().length === 2);
    expect(wanted.statuses()).toEqual([100, 200]);

    for (const [status, request] of [
      [413, post('x'.repeat(2000), 'expect: 100-continue\r\n')],
      [404, post('12345', 'expect: 100-continue\r\n').replace('/echo', '/nope')],
    ] as const) {
      const refusedClient = open();
      refusedClient.socket.write(`${request.split('\r\n\r\n')[0]}\r\n\r\n`);
      await eventually(async () => refusedClient.statuses().length > 0);
      expect(refusedClient.statuses()).toEqual([status]);
      refusedClient.socket.destroy();
    }
  });
});

describe.concurrent('the id of a request that the parser refuses', () => {
  const oversized = `x: ${'a'.repeat(20_000)}\r\n`;
  const head = (headers: string) => `GET /now HTTP/1.1\r\nhost: x\r\n${headers}\r\n`;
  const idsOf =
    (exchange: Running['exchange']) =>
    async (...pieces: string[]) =>
      problemIn((await exchange(...pieces)).received()).request_id;

  test('is the caller’s, where its head could be read', async (context) => {
    const { exchange } = await start(context);
    const idOf = idsOf(exchange);
    expect(await idOf(head(`X-Request-ID:  my-id-1 \r\n${oversized}`))).toBe('my-id-1');
    expect(await idOf(head('x-request-id: my-id-2\r\nno colon\r\n'))).toBe('my-id-2');
    expect(await idOf(`${head('x-request-id: first\r\n')}${head('x-request-id: second\r\nno colon\r\n')}`)).toBe(
      'second',
    );
  });

  test('is made where there is none, or none that is a plain token', async (context) => {
    const { exchange } = await start(context);
    const idOf = idsOf(exchange);
    const made = /^[0-9a-f]{12}-\w+$/;
    expect(await idOf(head(oversized))).toMatch(made);
    for (const bad of ['a b', 'a"b', '<script>', 'x'.repeat(129), 'a\tb', 'é', '']) {
      expect(await idOf(head(`x-request-id: ${bad}\r\n${oversized}`))).toMatch(made);
    }
    expect(await idOf(`${head('x-request-id: first\r\n')}${head('no colon\r\n')}`)).toMatch(made);
    expect(await idOf(`${head('').slice(0, -2)}no colon\r\n\r\nx-request-id: of-nobody\r\n`)).toMatch(made);
  });

  test('leads to what the parser calls it and whom it came from', async (context) => {
    const { lines, exchange } = await start(context);
    const idOf = idsOf(exchange);
    const id = await idOf(head(`x-request-id: my-id-1\r\n${oversized}`));
    expect(lines).toEqual([
      expect.objectContaining({
        requestId: id,
        statusCode: 431,
        code: 'headers_too_large',
        reason: 'HPE_HEADER_OVERFLOW',
        remoteAddress: '127.0.0.1',
      }),
    ]);
  });
});

test('a 408 names the time, which grows with the largest body', async (context) => {
  const { exchange } = await start(context);
  const { received } = await exchange('POST /echo HTTP/1.1\r\nhost: x\r\n');
  expect(problemIn(received()).detail).toBe('Send the whole request within 10 seconds.');
  const timeoutOf = (bodyLimitBytes: number) =>
    createHttp({ bodyLimitBytes, log: pino({ level: 'silent' }) }).server.requestTimeout;
  expect([1024, 1_024_000, 20_480_000, 102_400_000].map(timeoutOf)).toEqual([10_000, 11_000, 205_000, 1_024_000]);
});
