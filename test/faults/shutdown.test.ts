/** SIGTERM under load: nobody who is connected is failed, and nothing that was answered is lost. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { inForm } from './form.ts';
import { houses, type Load, runLoad, startLoad } from './load.ts';
import { reportFault } from './report.ts';
import { prepareService, type Service } from './service.ts';
import { compareWithStored, expectNothingLost, storedWithin } from './verification.ts';

const CONNECTIONS = 32;
const GRACE_SECONDS = 10;
const settings = { SHUTDOWN_GRACE_SECONDS: String(GRACE_SECONDS), DRAIN_SECONDS: '2' };

describe('SIGTERM under load on keep-alive connections', () => {
  test.for([
    { name: 'Postgres there', databaseAway: false, rounds: inForm(1, 10) },
    { name: 'Postgres away', databaseAway: true, rounds: inForm(1, 3) },
  ])('answers what is sent on open connections, ends with 0: $name', async ({ name, databaseAway, rounds }) => {
    const service = await prepareService({ settings });
    const loads: Load[] = [];
    const codes: unknown[] = [];
    const seconds: number[] = [];
    let flushed = 0;
    for (let round = 0; round < rounds; round++) {
      await service.proxy.set('pass');
      const server = await service.start();
      const load = startLoad({ url: server.url, connections: CONNECTIONS });
      await delay(700);
      if (databaseAway) await service.proxy.set('refuse');
      await delay(300);
      const signalledAt = Date.now();
      codes.push(await server.stop('SIGTERM'));
      seconds.push((Date.now() - signalledAt) / 1000);
      await load.stop();
      loads.push(load);
      flushed = (await compareWithStored(service.database, load.answers)).found;
    }
    const last = loads.at(-1)!.answers.length;
    await conclude(service, loads, {
      fault: `SIGTERM, ${name}, ${rounds} rounds`,
      note: `exit ${[...new Set(codes)]} after at most ${Math.max(...seconds).toFixed(1)} s; ${flushed} of the last ${last} rows were stored by then`,
    });
    expect(new Set(codes)).toEqual(new Set([0]));
    expect(Math.max(...seconds)).toBeLessThan(GRACE_SECONDS);
    if (!databaseAway) expect(flushed).toBe(last);
  });
});

describe('while it drains', () => {
  test('says 503 on /readyz, still answers 200 to open connections, also to a body that comes in two halves', async () => {
    const service = await prepareService({ settings });
    const server = await service.start();
    const [idle, halfSent, late] = await Promise.all([1, 2, 3].map(() => open(server.url)));
    const request = predictRequest();
    halfSent!.write(request.slice(0, -40));
    await delay(200);
    const ended = server.stop('SIGTERM');
    await delay(300);
    expect(await service.statusOf('/readyz')).toBe(503);
    halfSent!.write(request.slice(-40));
    late!.write(request);
    const answers = await Promise.all([halfSent!, late!].map(read));
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1.1 200 /);
    idle!.destroy();
    expect(await ended).toBe(0);
    reportFault({
      fault: 'SIGTERM while a body is half sent',
      load: '3 connections',
      requests: 2,
      failures: answers.filter((answer) => !answer.startsWith('HTTP/1.1 200 ')).length,
      note: '/readyz 503 meanwhile',
    });
  });

  test('ends at once at the second signal, losing nothing', async () => {
    const service = await prepareService({ settings });
    const server = await service.start();
    const load = startLoad({ url: server.url, connections: CONNECTIONS });
    await delay(700);
    await service.proxy.set('refuse');
    await delay(200);
    server.process.kill('SIGTERM');
    await delay(700);
    const secondAt = Date.now();
    const code = await server.stop('SIGTERM');
    const seconds = (Date.now() - secondAt) / 1000;
    await load.stop();
    await service.proxy.set('pass');
    await conclude(
      service,
      [load],
      { fault: 'second SIGTERM', note: `exit ${code} after ${seconds.toFixed(1)} s` },
      false,
    );
    expect(code).toBe(1);
    expect(seconds).toBeLessThan(2);
  });
});

describe('SIGTERM with few callers', () => {
  test.for([1, 2])('goes on taking new connections for DRAIN_SECONDS, with %i workers', async (workers) => {
    const drainSeconds = 3;
    const service = await prepareService({
      settings: { ...settings, DRAIN_SECONDS: String(drainSeconds), WORKERS: String(workers) },
    });
    const server = await service.start();
    const signalledAt = performance.now();
    const ended = server.stop('SIGTERM');
    let answered = 0;
    let lastAt = 0;
    let readiness = 0;
    while (true) {
      await delay(200);
      // Each with a connection of its own.
      const status = await answerOf(server.url);
      if (status === undefined) break;
      expect(status).toBe(200);
      answered++;
      lastAt = (performance.now() - signalledAt) / 1000;
      readiness = await service.statusOf('/readyz').catch(() => readiness);
    }
    const code = await ended;
    reportFault({
      fault: `SIGTERM, few callers, ${workers} workers`,
      load: '5 new connections/s',
      requests: answered,
      failures: 0,
      note: `new connections taken for ${lastAt.toFixed(1)} s of ${drainSeconds} s; /readyz ${readiness}; exit ${code}`,
    });
    expect(code).toBe(0);
    expect(readiness).toBe(503);
    expect(lastAt).toBeGreaterThan(drainSeconds - 1);
  });
});

describe('SIGTERM while peers are in the way', () => {
  test.for([
    { name: 'a body half sent', write: () => predictRequest().slice(0, -40) },
    { name: 'a head half sent', write: () => predictRequest().slice(0, 40) },
    { name: 'nothing sent', write: () => '' },
    { name: 'answers that nobody reads', write: () => batchRequest(8_000).repeat(20), peers: 2 },
  ])('ends with 0 in spite of $name', async ({ name, write, peers = 8 }) => {
    const graceSeconds = 6;
    const service = await prepareService({
      settings: { SHUTDOWN_GRACE_SECONDS: String(graceSeconds), MAX_BATCH_ROWS: '8000' },
    });
    const server = await service.start();
    const sockets = await Promise.all(Array.from({ length: peers }, () => open(server.url)));
    for (const socket of sockets) {
      socket.on('error', () => undefined);
      socket.pause();
      socket.write(write());
    }
    const load = await runLoad({ url: server.url, connections: 4 }, 500);
    const signalledAt = performance.now();
    const code = await server.stop('SIGTERM');
    const seconds = (performance.now() - signalledAt) / 1000;
    for (const socket of sockets) socket.destroy();
    const stored = await compareWithStored(service.database, load.answers);
    reportFault({
      fault: `SIGTERM, ${name}`,
      load: `${peers} such peers, 4 callers before`,
      requests: load.requests(),
      failures: load.failures.length,
      stored,
      note: `exit ${code} after ${seconds.toFixed(1)} s`,
    });
    expect(code).toBe(0);
    expect(seconds).toBeLessThan(graceSeconds - 1);
    expect(stored.missing).toBe(0);
  });

  test.for([1, 3, 10].flatMap((graceSeconds) => inForm([1], [1, 2]).map((workers) => ({ graceSeconds, workers }))))(
    'ends with 0 within a grace of $graceSeconds s while Postgres is silent, with $workers workers',
    async ({ graceSeconds, workers }) => {
      const grace = { SHUTDOWN_GRACE_SECONDS: String(graceSeconds), WORKERS: String(workers) };
      const service = await prepareService({ settings: grace });
      const server = await service.start();
      await service.proxy.set('black hole');
      const load = await runLoad({ url: server.url, connections: 4 }, 700);
      const signalledAt = performance.now();
      const code = await server.stop('SIGTERM');
      const seconds = (performance.now() - signalledAt) / 1000;
      await service.proxy.set('pass');
      await service.start();
      const stored = await storedWithin(service.database, load.answers, 30_000);
      reportFault({
        fault: `SIGTERM, Postgres silent, grace ${graceSeconds} s, ${workers} workers`,
        load: '4 connections before',
        requests: load.requests(),
        failures: load.failures.length,
        stored,
        note: `exit ${code} after ${seconds.toFixed(1)} s`,
      });
      expect(code).toBe(0);
      expect(seconds).toBeLessThan(graceSeconds);
      expectNothingLost(stored);
    },
  );
});

/** After a restart everything that was answered is there; nobody on an open connection was failed. */
async function conclude(
  service: Service,
  loads: Load[],
  about: { fault: string; note: string },
  inOrder = true,
): Promise<void> {
  await service.proxy.set('pass');
  await service.start();
  const answers = loads.flatMap((load) => load.answers);
  const stored = await storedWithin(service.database, answers, 30_000);
  const failures = loads
    .flatMap((load) => load.failures)
    .filter(({ accepted, answered }) => answered || (inOrder && accepted));
  reportFault({
    ...about,
    load: `${CONNECTIONS} keep-alive connections, closed loop`,
    requests: loads.reduce((sum, load) => sum + load.requests(), 0),
    failures: failures.length,
    stored,
    recoverySeconds: stored.seconds,
  });
  expect(failures.slice(0, 3)).toEqual([]);
  expectNothingLost(stored);
}

/** The status of a prediction over a connection of its own; undefined when there is none any more. */
async function answerOf(url: string): Promise<number | undefined> {
  const headers = { 'content-type': 'application/json', connection: 'close' };
  return fetch(`${url}/predict`, { method: 'POST', headers, body: JSON.stringify(houses[0]) }).then(
    async (response) => {
      await response.text();
      return response.status;
    },
    () => undefined,
  );
}

function batchRequest(rows: number): string {
  const body = JSON.stringify({ instances: Array.from({ length: rows }, () => houses[0]) });
  return `POST /predict/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

function predictRequest(): string {
  const body = JSON.stringify(houses[0]);
  return `POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

async function open(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  return socket;
}

async function read(socket: Socket): Promise<string> {
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  return bytes.toString();
}
