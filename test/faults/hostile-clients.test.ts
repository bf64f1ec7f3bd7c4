/** Clients that are hostile or clumsy: typed 4xx or a closed socket, no 5xx, no long answers, no stall of the others. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { housing } from '../../src/housing/features.ts';
import { eventually } from '../support/eventually.ts';
import { inForm, isShort } from './form.ts';
import { houses, startLoad } from './load.ts';
import { reportFault } from './report.ts';
import { prepareService, type Service } from './service.ts';
import { expectNothingLost, storedWithin } from './verification.ts';

const LONGEST_ANSWER = 64 * 1024;
const good = JSON.stringify(houses[0]);
/** What well-behaved callers ask meanwhile. */
const RATE = 100;

/** Well-behaved callers beside the others: none of them may be failed, and what they were answered is stored. */
async function besideOthers(service: Service, fault: string, act: () => Promise<{ requests: number; note?: string }>) {
  const load = startLoad({ url: service.server.url, rate: RATE, connections: 8 });
  const startedAt = Date.now();
  // The clients, good and bad, share one process: what holds it up is not the service's delay.
  const ownDelay = monitorEventLoopDelay({ resolution: 1 });
  ownDelay.enable();
  await delay(500);
  const { requests, note } = await act();
  await delay(300);
  await load.stop();
  const stored = await storedWithin(service.database, load.answers, 30_000);
  reportFault({
    fault,
    load: `${requests.toLocaleString('en-US')} of them; beside ${RATE} good requests/s`,
    requests: load.requests(),
    failures: load.failures.length,
    stored,
    note: [
      `p99 of the good ones ${load.p99(startedAt, Date.now()).toFixed(0)} ms (the clients were held up for ${(ownDelay.max / 1e6).toFixed(0)} ms by themselves)`,
      note,
    ]
      .filter(Boolean)
      .join('; '),
  });
  expect(load.failures.slice(0, 3)).toEqual([]);
  expect(service.server.process.exitCode).toBe(null);
  expect(service.server.logs().filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
  expectNothingLost(stored);
}

describe('malformed requests on bare sockets', () => {
  test('each gets a typed 4xx, a 200 or a closed socket', async () => {
    const service = await prepareService();
    await service.start();
    const cases = Object.entries(malformed());
    await besideOthers(service, 'malformed requests on bare sockets', async () => {
      const outcomes = await Promise.all(
        cases.map(async ([name, bytes]) => ({ name, answer: await exchange(service.server.url, bytes) })),
      );
      for (const { name, answer } of outcomes) expectHarmless(name, answer);
      return { requests: cases.length };
    });
  });

  test('garbage bytes', async () => {
    const service = await prepareService();
    await service.start();
    const runs = inForm(100, 500);
    await besideOthers(service, 'generated garbage on bare sockets', async () => {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), fc.boolean(), async (bytes, asBody) => {
          const head = 'POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ';
          const sent = asBody
            ? Buffer.concat([Buffer.from(`${head}${bytes.length}\r\n\r\n`), bytes])
            : Buffer.from(bytes);
          expectHarmless('garbage', await exchange(service.server.url, sent, 100));
        }),
        { numRuns: runs },
      );
      return { requests: runs };
    });
  });
});

describe('generated bodies', () => {
  const runs = inForm(1_000, 10_000);

  test(`${runs} bodies and content types`, async () => {
    const service = await prepareService();
    await service.start();
    const agent = new Agent({ keepAlive: true });
    const statuses = new Map<number, number>();
    await besideOthers(service, 'generated bodies (fast-check)', async () => {
      await fc.assert(
        fc.asyncProperty(
          anyBody(),
          anyHeaders(),
          fc.constantFrom('/predict', '/predict/batch'),
          async (body, headers, path) => {
            const { status, text, type } = await send(service.server.url, path, body, headers, agent);
            statuses.set(status, (statuses.get(status) ?? 0) + 1);
            expectTyped(status, text, type);
          },
        ),
        { numRuns: runs },
      );
      const counts = [...statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${count} x ${status}`);
      return { requests: runs, note: counts.join(', ') };
    });
    agent.destroy();
  });
});

describe('connections that are held', () => {
  test('open sockets, half-sent bodies, slow readers, aborts: the others are answered meanwhile and nothing stays', async () => {
    const service = await prepareService();
    await service.start();
    const { url } = service.server;
    const sockets = Math.min(inForm(500, 10_000), openFilesLimit() - 500);
    const held: Socket[] = [];
    await besideOthers(service, 'held connections: idle, half-sent, slow readers, aborts', async () => {
      for (let opened = 0; opened < sockets; opened += 100) {
        held.push(...(await Promise.all(Array.from({ length: Math.min(100, sockets - opened) }, () => open(url)))));
      }
      const halves = held.slice(0, sockets / 4);
      for (const socket of halves) socket.write(post(good).subarray(0, -30));
      const slowReaders = held.slice(halves.length, halves.length + Math.min(100, sockets / 10));
      for (const socket of slowReaders) {
        socket.pause();
        for (let i = 0; i < 20; i++) socket.write('GET /docs/json HTTP/1.1\r\nhost: x\r\n\r\n');
      }
      for (let i = 0; i < sockets / 5; i++) {
        const socket = await open(url);
        socket.write(post(good).subarray(0, 100 + (i % 200)));
        setImmediate(() => socket.resetAndDestroy());
      }
      await delay(inForm(1_500, 15_000));
      return { requests: sockets, note: `${sockets} sockets open at once` };
    });
    for (const socket of held) socket.destroy();
    await eventually(async () => (await service.statusOf('/readyz')) === 200);
  });

  test('a half-sent request is given up in time, with 408 or a closed socket', { timeout: 120_000 }, async () => {
    const service = await prepareService();
    await service.start();
    const startedAt = Date.now();
    const answer = await exchange(service.server.url, post(good).subarray(0, -30), 60_000);
    reportFault({
      fault: 'a request that is never finished',
      load: '1 connection',
      recoverySeconds: (Date.now() - startedAt) / 1000,
      note: answer.toString('latin1').split('\r\n', 1)[0] || 'no answer',
    });
    expect(answer.toString('latin1')).toMatch(/^(HTTP\/1.1 408 |$)/);
    expect(Date.now() - startedAt).toBeLessThan(60_000);
  });
});

describe('connections without an end', { concurrent: isShort }, () => {
  test('that are refused are closed, although their peers never close; SIGTERM is not held up', {
    timeout: 120_000,
  }, async ({ onTestFinished }) => {
    const service = await prepareService({ onTestFinished });
    const { url, process: server } = await service.start();
    const base = openDescriptors(server.pid!);
    const clients = 100;
    const kinds = [
      Buffer.from('POST /predict HTTP/1.1\r\nhost: x\r\n'),
      post(good).subarray(0, -30),
      post('x'.repeat(2_000_000)).subarray(0, 100_000),
      Buffer.from('GARBAGE\r\n\r\n'),
      Buffer.from('POST /nope HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12'),
    ];
    const startedAt = Date.now();
    const held = await Promise.all(Array.from({ length: clients }, () => open(url, { allowHalfOpen: true })));
    const answers = held.map((socket, i) => {
      // Every other one never reads either.
      const answer = { status: '' };
      if (i % 2 === 0) socket.on('data', (piece: Buffer) => (answer.status ||= piece.toString('latin1', 9, 12)));
      else socket.pause();
      socket.write(kinds[i % kinds.length]!);
      return answer;
    });
    // Before they are answered the server may not even have taken them, and has few descriptors as well.
    const told = await eventually(async () => {
      const answered = answers.filter(({ status }) => status !== '');
      return answered.length === clients / 2 && answered;
    }, 60_000);
    await eventually(async () => openDescriptors(server.pid!) <= base, 60_000);
    const recoverySeconds = (Date.now() - startedAt) / 1000;
    // Whoever idles from the start holds nothing up either.
    for (let i = 0; i < 20; i++) held.push(await open(url, { allowHalfOpen: true }));
    const exitCode = await service.server.stop();
    reportFault({
      fault: 'half a request, then silence: refused peers that never close',
      load: `${clients} connections, half of them never read`,
      recoverySeconds,
      note: `descriptors back at ${base}; SIGTERM afterwards: exit ${exitCode}`,
    });
    for (const socket of held) socket.destroy();
    expect(new Set(told.map(({ status }) => status))).toEqual(new Set(['408', '413', '400', '404']));
    expect(exitCode).toBe(0);
  });

  test('that are opened in advance are served', { timeout: 120_000 }, async ({ onTestFinished }) => {
    const service = await prepareService({ onTestFinished });
    const { url } = await service.start();
    const idleSeconds = inForm(11, 60);
    const early = await Promise.all(Array.from({ length: 20 }, () => open(url)));
    await delay(idleSeconds * 1000);
    const answers = await Promise.all(early.map((socket) => exchangeOn(socket, post(good))));
    const served = answers.filter((answer) => answer.toString('latin1').startsWith('HTTP/1.1 200 '));
    reportFault({
      fault: `connections that are first used after ${idleSeconds} s`,
      load: `${early.length} connections`,
      requests: early.length,
      failures: early.length - served.length,
    });
    expect(served).toHaveLength(early.length);
  });

  test('that send a large batch at the least speed are answered', { timeout: 180_000 }, async ({ onTestFinished }) => {
    const service = await prepareService({ onTestFinished, settings: { MAX_BATCH_ROWS: '20000' } });
    const { url } = await service.start();
    const seconds = inForm(14, 60);
    const rows = Array.from({ length: inForm(8_000, 20_000) }, (_, i) => houses[i % houses.length]);
    const request = post(JSON.stringify({ instances: rows }), '', '/predict/batch');
    const socket = await open(url);
    const pieces = seconds * 2;
    for (let i = 0; i < pieces - 1; i++) {
      socket.write(request.subarray((i * request.length) / pieces, ((i + 1) * request.length) / pieces));
      await delay(500);
    }
    const answer = await exchangeOn(socket, request.subarray(((pieces - 1) * request.length) / pieces));
    reportFault({
      fault: `a body that takes ${seconds} s to arrive`,
      load: `${rows.length.toLocaleString('en-US')} rows, ${Math.round(request.length / 1000).toLocaleString('en-US')} kB`,
      requests: 1,
      failures: answer.toString('latin1').startsWith('HTTP/1.1 200 ') ? 0 : 1,
    });
    expect(answer.toString('latin1', 0, 13)).toBe('HTTP/1.1 200 ');
  });
});

test('small batches are taken where very large ones are allowed', async ({ onTestFinished }) => {
  const service = await prepareService({ onTestFinished, settings: { MAX_BATCH_ROWS: '100000' } });
  const { url } = await service.start();
  const load = startLoad({ url, connections: 16, batchRows: 100 });
  await delay(inForm(1_000, 5_000));
  await load.stop();
  const stored = await storedWithin(service.database, load.answers, 30_000);
  reportFault({
    fault: 'MAX_BATCH_ROWS=100000, which is no fault',
    load: '16 connections, 100 rows each, closed loop',
    requests: load.requests(),
    failures: load.failures.length,
    stored,
  });
  expect(load.failures.slice(0, 3)).toEqual([]);
  expectNothingLost(stored);
});

/** Requests that no library would send, by name. */
function malformed(): Record<string, Buffer> {
  const text = (request: string) => Buffer.from(request, 'latin1');
  const withBody = (body: string | Buffer, headers = '') => post(body, headers);
  const changed = (key: string, json: string) => good.replace(new RegExp(`"${key}":[^,}]+`), `"${key}":${json}`);
  return {
    'not HTTP': text('hello\r\n\r\n'),
    'TLS hello': Buffer.from('16030100a5010000a10303', 'hex'),
    'unknown method': text('BREW /predict HTTP/1.1\r\nhost: x\r\n\r\n'),
    'known method, wrong route': text('PROPFIND /predict HTTP/1.1\r\nhost: x\r\n\r\n'),
    CONNECT: text('CONNECT /predict HTTP/1.1\r\nhost: x\r\n\r\n'),
    upgrade: text('GET /health HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'),
    'HTTP/0.9': text('GET /\r\n\r\n'),
    'HTTP/2 preface': text('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    'HTTP/9.9': text('GET /health HTTP/9.9\r\nhost: x\r\n\r\n'),
    'no host': text('GET /health HTTP/1.1\r\n\r\n'),
    'bad URL': text('GET /%zz%ff HTTP/1.1\r\nhost: x\r\n\r\n'),
    'long URL': text(`GET /${'a'.repeat(10_000)} HTTP/1.1\r\nhost: x\r\n\r\n`),
    'oversized header': text(`GET /health HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(200_000)}\r\n\r\n`),
    'too many headers': text(`GET /health HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(5_000)}\r\n`),
    'header without colon': text('GET /health HTTP/1.1\r\nhost x\r\n\r\n'),
    'NUL in a header': text('GET /health HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n'),
    'bare CR': text('GET /health HTTP/1.1\rhost: x\r\r'),
    'two lengths': withBody(good, 'content-length: 3\r\n'),
    'length and chunked': withBody(good, 'transfer-encoding: chunked\r\n'),
    'negative length': text('POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n'),
    'huge length': text(
      'POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n{',
    ),
    'broken chunk': text(
      'POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
    ),
    'huge chunk extension': text(
      `POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1;${'a'.repeat(100_000)}\r\n{\r\n0\r\n\r\n`,
    ),
    'expect something': withBody(good, 'expect: the-impossible\r\n'),
    'expect 100-continue': withBody(good, 'expect: 100-continue\r\n'),
    'body too large': withBody('['.padEnd(3_000_000, ' ')),
    'GET with a body': text(`GET /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}`),
    'no content type': text(`POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}`),
    'invalid UTF-8': withBody(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])),
    'UTF-16': withBody(Buffer.from(good, 'utf16le')),
    'byte order mark': withBody(Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(good)])),
    'said to be gzip': withBody(good, 'content-encoding: gzip\r\n'),
    'empty body': withBody(''),
    null: withBody('null'),
    'deep nesting': withBody('['.repeat(60_000)),
    'deep objects': withBody(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`),
    'deep nesting in a feature': withBody(changed('RM', `${'['.repeat(20_000)}${']'.repeat(20_000)}`)),
    'a number that overflows': withBody(changed('RM', '1e999')),
    'the largest number': withBody(changed('RM', '1.7976931348623157e308')),
    'a category that is no safe integer': withBody(changed('RAD', '9007199254740993')),
    'a category beyond 64 bits': withBody(changed('RAD', '1e300')),
    'a number of 50,000 digits': withBody(changed('RM', '9'.repeat(50_000))),
    NaN: withBody(changed('RM', 'NaN')),
    'a number as text': withBody(changed('RM', '"6.5"')),
    __proto__: withBody(`{"__proto__":{"RM":1},${good.slice(1)}`),
    'constructor.prototype': withBody(`{"constructor":{"prototype":{"RM":1}},${good.slice(1)}`),
    'duplicate keys': withBody(`{"RM":1,${good.slice(1)}`),
    'thousands of keys': withBody(`{${Array.from({ length: 5_000 }, (_, i) => `"k${i}":1`).join(',')}}`),
    'a key of 50,000 characters': withBody(`{"${'k'.repeat(50_000)}":1}`),
    'an empty batch': withBody('{"instances":[]}').subarray(0),
    pipelined: Buffer.concat([post(good), post('{}'), post(good), text('GARBAGE\r\n\r\n')]),
    'bad request id': withBody(good, `x-request-id: ${'"\\<script>'.repeat(50)}\r\n`),
    'path traversal': text('GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n'),
    'docs, traversal': text('GET /docs/static/..%2f..%2f..%2fetc/passwd HTTP/1.1\r\nhost: x\r\n\r\n'),
  };
}

function post(body: string | Buffer, headers = '', path = '/predict'): Buffer {
  const length = Buffer.byteLength(body);
  const head = `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${headers}content-length: ${length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(body as string)]);
}

/** JSON of every kind, rows with one part replaced, and bytes that are no JSON at all. */
function anyBody(): fc.Arbitrary<string | Buffer> {
  const oddValue = fc.oneof(
    fc.json({ maxDepth: 3 }),
    fc.double().map(String),
    fc.bigInt().map(String),
    fc.constantFrom(
      '1e400',
      '-1e400',
      '1e-400',
      '-0',
      '1e308',
      '9007199254740993',
      'NaN',
      'Infinity',
      '01',
      '.5',
      '0x1',
      'true',
      '""',
    ),
    fc.integer({ min: 1, max: 3_000 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth)),
  );
  const oddKey = fc.oneof(fc.constantFrom(...housing.names, '__proto__', 'constructor', 'toString', ''), fc.string());
  const spoiledRow = fc
    .array(fc.tuple(oddKey, oddValue), { maxLength: 4 })
    .map(
      (parts) =>
        `{${[good.slice(1, -1), ...parts.map(([key, value]) => `${JSON.stringify(key)}:${value}`)].join(',')}}`,
    );
  const replaced = fc
    .tuple(fc.constantFrom(...housing.names), oddValue)
    .map(([name, value]) => good.replace(new RegExp(`"${name}":[^,}]+`), () => `"${name}":${value}`));
  const batch = fc
    .array(fc.oneof(spoiledRow, replaced, oddValue, fc.constant(good)), { maxLength: 20 })
    .map((rows) => `{"instances":[${rows.join(',')}]}`);
  return fc.oneof(
    fc.json(),
    spoiledRow,
    replaced,
    batch,
    fc.constant(good),
    fc.string({ unit: 'binary' }),
    fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes)),
    fc.tuple(fc.constant(good), fc.nat(400)).map(([body, end]) => body.slice(0, end)),
  );
}

function anyHeaders(): fc.Arbitrary<Record<string, string>> {
  const json = { 'content-type': 'application/json' };
  const odd = fc.constantFrom<Record<string, string>>(
    { 'content-type': 'application/json; charset=utf-8' },
    { 'content-type': 'application/json; charset=utf-16' },
    { 'content-type': 'application/json;;;' },
    { 'content-type': 'text/plain' },
    { 'content-type': 'application/x-www-form-urlencoded' },
    { 'content-type': 'multipart/form-data; boundary=x' },
    { 'content-type': '*/*' },
    { ...json, 'content-encoding': 'gzip' },
    { ...json, 'x-request-id': 'a b' },
    { ...json, accept: 'image/png' },
    {},
  );
  return fc.oneof({ weight: 6, arbitrary: fc.constant<Record<string, string>>(json) }, { weight: 1, arbitrary: odd });
}

function send(url: string, path: string, body: string | Buffer, headers: Record<string, string>, agent: Agent) {
  return new Promise<{ status: number; text: string; type: string }>((resolve, reject) => {
    const bytes = Buffer.from(body as string);
    const options = { method: 'POST', agent, headers: { ...headers, 'content-length': bytes.length }, timeout: 10_000 };
    const sending = request(new URL(path, url), options, async (response) => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve({ status: response.statusCode ?? 0, text, type: response.headers['content-type'] ?? '' });
    });
    sending.on('timeout', () => sending.destroy(new Error('no answer within 10 s')));
    sending.on('error', reject);
    sending.end(bytes);
  });
}

/** 200, or a 4xx as problem details of RFC 9457. */
function expectTyped(status: number, text: string, type: string): void {
  expect(text.length).toBeLessThan(LONGEST_ANSWER);
  if (status === 200) return;
  expect(status, text).toBeGreaterThanOrEqual(400);
  expect(status, text).toBeLessThan(500);
  expect(type).toMatch(/^application\/problem\+json/);
  const problem = JSON.parse(text) as Record<string, unknown>;
  expect(problem).toMatchObject({
    status,
    type: expect.any(String),
    title: expect.any(String),
    detail: expect.any(String),
  });
}

/** Nothing but answers of 200 and 4xx, or no answer at all. */
function expectHarmless(name: string, answer: Buffer): void {
  const statuses = [...answer.toString('latin1').matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) =>
    Number(status),
  );
  if (answer.length > 0) expect(statuses.length, name).toBeGreaterThan(0);
  for (const status of statuses)
    expect(status === 100 || status === 200 || (status >= 400 && status < 500), `${name}: ${status}`).toBe(true);
  expect(answer.length, name).toBeLessThan(LONGEST_ANSWER);
}

async function open(url: string, options: { allowHalfOpen?: boolean } = {}): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname, ...options });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Sends bytes and returns all that comes back until the socket is closed or is silent for so long. */
async function exchange(url: string, bytes: Buffer, silenceMs = 2_000): Promise<Buffer> {
  return exchangeOn(await open(url), bytes, silenceMs);
}

async function exchangeOn(socket: Socket, bytes: Buffer, silenceMs = 2_000): Promise<Buffer> {
  const received: Buffer[] = [];
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, silenceMs);
    socket.on('data', (chunk: Buffer) => {
      received.push(chunk);
      timer.refresh();
    });
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.write(bytes);
  });
  socket.destroy();
  return Buffer.concat(received);
}

/** The descriptors of a process; 0 where /proc does not say. */
function openDescriptors(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

function openFilesLimit(): number {
  const report = process.report.getReport() as unknown as { userLimits?: { open_files?: { soft: number | string } } };
  const limit = Number(report.userLimits?.open_files?.soft);
  return Number.isNaN(limit) ? 1_000_000 : limit;
}
