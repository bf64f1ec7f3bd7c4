/** SIGTERM under load: nobody who is connected is failed, and nothing that was answered is lost. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { inForm } from './form.ts';
import { houses, type Load, startLoad } from './load.ts';
import { reportFault } from './report.ts';
import { prepareService, type Service } from './service.ts';
import { compareWithStored, expectNothingLost, storedWithin } from './verification.ts';

const CONNECTIONS = 32;
const GRACE_SECONDS = 10;
const settings = { SHUTDOWN_GRACE_SECONDS: String(GRACE_SECONDS), DRAIN_SECONDS: '2' };

describe('SIGTERM under load on keep-alive connections', () => {
  it.for([
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
  it('says 503 on /readyz, still answers 200 to open connections, also to a body that comes in two halves', async () => {
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

  it('ends at once at the second signal, losing nothing', async () => {
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
    rowsExpected: stored.expected,
    rowsFound: stored.found,
    duplicates: stored.duplicates,
    recoverySeconds: stored.seconds,
  });
  expect(failures.slice(0, 3)).toEqual([]);
  expectNothingLost(stored);
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
