/** Postgres away, in every way we know, under load: no caller may notice, and every row arrives when it is back. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { migrate } from '../../src/database/migrate.ts';
import { openDatabase } from '../../src/process/open-database.ts';
import { makeDirectory } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { inForm, isShort } from './form.ts';
import { runLoad, startLoad } from './load.ts';
import { plant } from './planted/planted.ts';
import { reportFault } from './report.ts';
import { prepareService, residentMiB, type Service } from './service.ts';
import { expectNothingLost, storedWithin } from './verification.ts';

/** In the short form several outages happen at once, each to its own service. */
const RATE = inForm(100, 1000);
const HEALTHY_MS = inForm(2_000, 15_000);
const FAULT_MS = inForm(6_000, 60_000);
/** The bar: every row in Postgres this long after its return. */
const RECOVERY_SECONDS = 30;
const MEMORY_MIB = 50;
/** After this a fault of the database must be seen in /health: its probe has a second, and is asked once a second. */
const NOTICED_MS = 3_000;

interface Outage {
  name: string;
  begin: (service: Service) => Promise<unknown>;
  end: (service: Service) => Promise<unknown>;
  /** Whether /health must say that the database is unavailable all the while. */
  away: boolean;
}

const outages: Outage[] = [
  { name: 'refused', away: true, begin: ({ proxy }) => proxy.set('refuse'), end: ({ proxy }) => proxy.set('pass') },
  {
    name: 'black hole, old connections dead for ever',
    away: true,
    begin: ({ proxy }) => proxy.set('black hole'),
    end: ({ proxy }) => proxy.set('pass'),
  },
  {
    name: 'frozen network that thaws',
    away: true,
    begin: ({ proxy }) => proxy.set('freeze'),
    end: ({ proxy }) => proxy.set('pass'),
  },
  {
    name: 'slow, 2 s each way',
    away: true,
    begin: ({ proxy }) => proxy.set('delay', { delayMs: 2_000 }),
    end: ({ proxy }) => proxy.set('pass'),
  },
  {
    name: 'cut at every other commit, outcome unknown',
    away: false,
    begin: ({ proxy }) => proxy.set('cut at commit'),
    end: ({ proxy }) => proxy.set('pass'),
  },
  {
    name: 'cut in the middle of messages',
    away: false,
    begin: ({ proxy }) => proxy.set('cut mid-message'),
    end: ({ proxy }) => proxy.set('pass'),
  },
  {
    name: 'sessions terminated again and again',
    away: false,
    begin: async (service) => {
      const until = Date.now() + FAULT_MS;
      void (async () => {
        while (Date.now() < until) {
          await terminateSessions(service.database.url);
          await delay(200);
        }
      })();
    },
    end: async () => undefined,
  },
  {
    name: 'read-only',
    away: true,
    begin: async ({ database }) => {
      await onServer(`alter database ${nameOf(database.url)} set default_transaction_read_only = on`);
      await terminateSessions(database.url);
    },
    end: ({ database }) => onServer(`alter database ${nameOf(database.url)} reset default_transaction_read_only`),
  },
];

describe('the database is away under load', { concurrent: isShort }, () => {
  test.for(outages)('$name', async (outage, { onTestFinished }) => {
    const service = await prepareService({ onTestFinished });
    await service.start();
    await endure(service, outage);
  });

  test('its name is gone from DNS', async ({ onTestFinished }) => {
    const directory = await mkdtemp(join(tmpdir(), 'ridgeline-names-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    const switchFile = join(directory, 'gone');
    const service = await prepareService({ onTestFinished });
    const url = new URL(service.proxy.through(service.database.url));
    url.hostname = 'localhost';
    await service.start({ ...plant('names-gone'), NAMES_GONE: switchFile, DATABASE_URL: url.href });
    await endure(service, {
      name: 'gone from DNS',
      away: true,
      begin: async ({ proxy }) => {
        await writeFile(switchFile, '');
        await proxy.set('refuse');
        await proxy.set('pass');
      },
      end: () => rm(switchFile),
    });
  });

  test('its server is restarted, on another port', async ({ onTestFinished }) => {
    const dataDir = await makeDirectory('restarted');
    let own = await openDatabase({ databaseUrl: undefined, dataDir });
    onTestFinished(async () => {
      await own.close();
      await rm(dataDir, { recursive: true, force: true });
    });
    await migrate(own.url);
    const query = async <Row>(text: string, values?: unknown[]) => {
      const client = new Client({ connectionString: own.url });
      await client.connect();
      return (await client.query(text, values).finally(() => client.end())).rows as Row[];
    };
    const prepared = await prepareService({ onTestFinished });
    prepared.proxy.retarget(own.url);
    const database = { ...prepared.database, url: own.url, query };
    // Getters stay with the original; only the database is another one.
    const service: Service = Object.create(prepared, { database: { value: database } });
    await service.start({ DATABASE_URL: prepared.proxy.through(own.url) });
    await endure(service, {
      name: 'PostgreSQL stopped and started',
      away: true,
      begin: () => own.close(),
      end: async () => {
        own = await openDatabase({ databaseUrl: undefined, dataDir });
        prepared.proxy.retarget(own.url);
      },
    });
  });
});

/** Healthy, then the fault, then its end: with load all the while, watched from outside. */
async function endure(service: Service, { name, begin, end, away }: Outage): Promise<void> {
  const load = startLoad({ url: service.server.url, rate: RATE });
  const startedAt = Date.now();
  await delay(HEALTHY_MS);
  const memoryBefore = residentMiB(service.server) ?? Number.NaN;
  const faultAt = Date.now();
  await begin(service);
  const watched = await watch(service, faultAt + FAULT_MS);
  await end(service);
  const returnedAt = Date.now();
  await delay(1_000);
  await load.stop();
  // In what time a service must be well again is measured from the return, not from the end of the load.
  const stored = await storedWithin(service.database, load.answers, 60_000);
  const recoverySeconds = (Date.now() - returnedAt) / 1000;
  await eventually(async () => (await service.health()).status === 'ok', 15_000);
  const memoryMiB = watched.memoryMiB - memoryBefore;
  const healthyP99 = load.p99(startedAt + HEALTHY_MS / 2, faultAt);
  const faultP99 = load.p99(faultAt, returnedAt);
  reportFault({
    fault: `database: ${name}, ${FAULT_MS / 1000} s`,
    load: `${RATE} requests/s`,
    requests: load.requests(),
    failures: load.failures.length,
    stored,
    recoverySeconds,
    note: `p99 ${healthyP99.toFixed(1)} -> ${faultP99.toFixed(1)} ms, memory ${memoryMiB >= 0 ? '+' : ''}${memoryMiB.toFixed(0)} MiB`,
  });
  expect(load.failures.slice(0, 3)).toEqual([]);
  expect(watched.notReady).toBe(0);
  if (away) expect(watched.seenHealthy).toEqual([]);
  expectNothingLost(stored);
  expect(recoverySeconds).toBeLessThan(RECOVERY_SECONDS);
  if (!Number.isNaN(memoryMiB)) expect(memoryMiB).toBeLessThan(MEMORY_MIB);
  // Once for the beginning and once for the end of a fault, not for every row or attempt.
  const complaints = service.server.logs().filter(({ level }) => level !== 'info');
  if (away) expect(complaints.length, JSON.stringify(complaints.slice(0, 20))).toBeLessThan(10);
}

/** Looks at the service from outside until the time given. */
async function watch(service: Service, until: number) {
  const beganAt = Date.now();
  // The relay meets the fault first, on the connection that it used last; it must not be a probe that discovers it.
  await delay(500);
  const watched = { notReady: 0, seenHealthy: [] as string[], memoryMiB: 0 };
  while (Date.now() < until) {
    if ((await service.statusOf('/readyz')) !== 200) watched.notReady++;
    const noticed = Date.now() > beganAt + NOTICED_MS;
    const { status, database } = await service.health();
    if (noticed && (status !== 'degraded' || database !== 'unavailable')) {
      watched.seenHealthy.push(`${status}, database ${database}, after ${Date.now() - beganAt} ms`);
    }
    watched.memoryMiB = Math.max(watched.memoryMiB, residentMiB(service.server) ?? 0);
    await delay(Math.min(250, Math.max(0, until - Date.now())));
  }
  return watched;
}

describe('the database is away at the start', () => {
  test('serves what is in models/, stores what it answered when the database is back', async () => {
    const service = await prepareService();
    await service.start();
    const before = await service.health();
    await service.kill();
    await service.proxy.set('refuse');
    const startedAt = Date.now();
    const { url } = await service.start();
    const startSeconds = (Date.now() - startedAt) / 1000;
    const load = await runLoad({ url, connections: 8 }, inForm(1_500, 10_000));
    expect(await service.statusOf('/readyz')).toBe(200);
    expect(await service.health()).toMatchObject({ status: 'degraded', model_version: before.model_version });
    await service.proxy.set('pass');
    const stored = await storedWithin(service.database, load.answers, 30_000);
    reportFault({
      fault: 'database away at the start, a pipeline in models/',
      load: '8 connections, closed loop',
      requests: load.requests(),
      failures: load.failures.length,
      stored,
      recoverySeconds: stored.seconds,
      note: `serves ${startSeconds.toFixed(1)} s after its start`,
    });
    expect(load.failures).toEqual([]);
    expectNothingLost(stored);
    await eventually(async () => (await service.health()).status === 'ok', 15_000);
  });

  test('without a pipeline says what is missing, and becomes ready when the database is back', async () => {
    const service = await prepareService();
    await service.proxy.set('refuse');
    await service.start();
    expect(await service.statusOf('/readyz')).toBe(503);
    expect(await service.statusOf('/health')).toBe(503);
    expect(service.server.output()).toMatch(/models|pipeline/);
    await service.proxy.set('pass');
    const returnedAt = Date.now();
    await eventually(async () => (await service.statusOf('/readyz')) === 200, 30_000);
    const recoverySeconds = (Date.now() - returnedAt) / 1000;
    const load = await runLoad({ url: service.server.url, connections: 4 }, 500);
    const stored = await storedWithin(service.database, load.answers, 10_000);
    reportFault({
      fault: 'database away at the start, nothing in models/',
      load: '4 connections afterwards',
      requests: load.requests(),
      failures: load.failures.length,
      stored,
      recoverySeconds,
      note: '/readyz 503 until then',
    });
    expect(load.failures).toEqual([]);
    expectNothingLost(stored);
  });
});

function nameOf(url: string): string {
  return new URL(url).pathname.slice(1);
}

async function onServer(text: string, values: unknown[] = []): Promise<void> {
  const client = new Client({ connectionString: inject('postgresUrl') });
  await client.connect();
  await client.query(text, values).finally(() => client.end());
}

function terminateSessions(url: string): Promise<void> {
  return onServer(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()',
    [nameOf(url)],
  );
}
