/** Deaths of the process: killed at random moments, killed as one of several workers, ended by its own exception. */
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { inForm } from './form.ts';
import { type Answer, startLoad } from './load.ts';
import { plant } from './planted/planted.ts';
import { reportFault } from './report.ts';
import { prepareService } from './service.ts';
import { expectNothingLost, storedWithin } from './verification.ts';

const CONNECTIONS = 32;

describe('kill -9 at a random moment under load', () => {
  test.each([
    { promise: 'spool', settings: {}, rounds: inForm(3, 20) },
    { promise: 'spool with fsync', settings: { PREDICTION_LOG_FSYNC: 'on' }, rounds: inForm(1, 5) },
    { promise: 'sync', settings: { PREDICTION_LOG: 'sync' }, rounds: inForm(1, 5) },
  ])('loses and doubles nothing: $promise, $rounds rounds', async ({ promise, settings, rounds }) => {
    const service = await prepareService({ settings });
    const answers: Answer[] = [];
    let requests = 0;
    let failures = 0;
    for (let round = 0; round < rounds; round++) {
      await service.start();
      const load = startLoad({ url: service.server.url, connections: CONNECTIONS });
      await eventually(async () => load.answers.length > 1, 30_000);
      await delay(randomInt(inForm(1200, 2700)));
      await service.kill();
      await load.stop();
      answers.push(...load.answers);
      requests += load.requests();
      // A connection that dies with the process was promised nothing; an answer other than 200 is a failure.
      failures += load.failures.filter(({ answered }) => answered).length;
    }
    await service.start();
    const stored = await storedWithin(service.database, answers, 30_000);
    reportFault({
      fault: `kill -9, ${rounds} rounds (${promise})`,
      load: `${CONNECTIONS} connections, closed loop`,
      requests,
      failures,
      stored,
      recoverySeconds: stored.seconds,
    });
    expect(answers.length).toBeGreaterThan(rounds);
    expect(failures).toBe(0);
    expectNothingLost(stored);
  });
});

describe('WORKERS=2', () => {
  test('replaces a worker that was killed under load and relays its spool', async () => {
    const service = await prepareService({ settings: { WORKERS: '2' } });
    const server = await service.start();
    const workers = () => {
      const serving = server.logs().filter(({ msg }) => msg === 'pipeline version is served');
      return [...new Set(serving.map(({ pid }) => pid as number))];
    };
    await eventually(async () => workers().length === 2);
    const load = startLoad({ url: server.url, connections: CONNECTIONS });
    await delay(1_000);
    const killedAt = Date.now();
    process.kill(workers()[0]!, 'SIGKILL');
    await eventually(async () => workers().length === 3, 20_000);
    const replacedSeconds = (Date.now() - killedAt) / 1000;
    await delay(inForm(1_000, 5_000));
    await load.stop();
    const stored = await storedWithin(service.database, load.answers, 30_000);
    const failures = load.failures.filter(({ answered }) => answered).length;
    reportFault({
      fault: 'kill -9 of one of two workers',
      load: `${CONNECTIONS} connections, closed loop`,
      requests: load.requests(),
      failures,
      stored,
      recoverySeconds: replacedSeconds,
      note: `its rows stored ${stored.seconds.toFixed(1)} s after the load; ${load.failures.length} of its connections broke`,
    });
    expect(failures).toBe(0);
    // Its own connections break, no others: each caller had one request under way.
    expect(load.failures.length).toBeLessThanOrEqual(CONNECTIONS);
    expectNothingLost(stored);
  });
});

describe('an unexpected error', () => {
  test.each([
    ['exception', 'SIGUSR2'],
    ['rejection', 'SIGPIPE'],
  ] as const)('is logged, drained and ends in exit 1: %s', async (kind, trigger) => {
    const service = await prepareService({ settings: plant('throw-on-signal') });
    const server = await service.start();
    const load = startLoad({ url: server.url, connections: CONNECTIONS });
    await delay(1_000);
    const thrownAt = Date.now();
    server.process.kill(trigger);
    const code = await server.stop('SIGCONT');
    const endedSeconds = (Date.now() - thrownAt) / 1000;
    await load.stop();
    const failures = load.failures.filter(({ accepted }) => accepted);
    await service.start();
    const stored = await storedWithin(service.database, load.answers, 30_000);
    reportFault({
      fault: `unexpected ${kind} in the process`,
      load: `${CONNECTIONS} connections, closed loop`,
      requests: load.requests(),
      failures: failures.length,
      stored,
      recoverySeconds: endedSeconds,
      note: `exit ${code}`,
    });
    expect(code).toBe(1);
    const fatal = server.logs().filter(({ level }) => level === 'fatal');
    expect(JSON.stringify(fatal)).toContain(`planted ${kind}`);
    expect(failures).toEqual([]);
    expectNothingLost(stored);
  });
});
