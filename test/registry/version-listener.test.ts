import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createClient } from '../../src/database/pool.ts';
import { PROMOTION_CHANNEL } from '../../src/registry/promotions.ts';
import { startVersionListener } from '../../src/registry/version-listener.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createNotedLog } from '../support/noted-log.ts';

const NEVER = 3600;

let database: TestDatabase;
let closers: (() => Promise<void>)[];
beforeEach(async () => {
  closers = [];
  database = await createTestDatabase();
  await database.query(
    `insert into ml_pipeline (pipeline_version, artefact, sha256, hyperparameters, metrics, data_sha256, code_sha256,
       golden_rows, feature_profile)
     select to_char(day, 'YYYY_MM_DD"__00_00_00"'), '', repeat('0', 64), '{}', '{}', repeat('0', 64), repeat('0', 64),
       '{}', '{}'
     from generate_series(timestamp '2026-01-01', '2026-01-05', '1 day') as day`,
  );
});
afterEach(async () => {
  for (const close of closers) await close();
  await database.drop();
});

const versionOf = (day: number) => `2026_01_0${day}__00_00_00`;

function promote(day: number, { notify = true } = {}): Promise<unknown> {
  return database.query(
    `with promoted as (
       insert into ml_pipeline_promotion (pipeline_version, promoted_by, reason) values ($1, 'test', 'test')
     )
     select case when $2 then pg_notify($3, $1) end`,
    [versionOf(day), notify, PROMOTION_CHANNEL],
  );
}

/** A listener that reads the newest promotion whenever it is told to, as a server does. */
function startListener({ pollSeconds = NEVER, url = database.url } = {}) {
  const seen: (string | undefined)[] = [];
  const { log, lines } = createNotedLog();
  const listener = startVersionListener({
    createClient: () => createClient(url),
    channel: PROMOTION_CHANNEL,
    pollSeconds,
    async onChange() {
      const [row] = await database.query<{ pipeline_version: string }>(
        'select pipeline_version from ml_pipeline_promotion order by promotion_id desc limit 1',
      );
      seen.push(row?.pipeline_version);
    },
    log,
  });
  closers.push(() => listener.close());
  const logged = () => lines.map(({ level, message }) => `${level}: ${message}`);
  return { seen, logged, close: () => listener.close() };
}

async function listeningPids(): Promise<number[]> {
  const rows = await database.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = current_database() and application_name = 'ridgeline' and query ilike 'listen%'`,
  );
  return rows.map(({ pid }) => pid);
}

test('the state is read once listening has begun, and again at every notice', async () => {
  const { seen, logged } = startListener();
  await eventually(async () => seen.length === 1);
  expect(seen).toEqual([undefined]);
  await promote(1);
  await eventually(async () => seen.at(-1) === versionOf(1));
  await promote(2);
  await eventually(async () => seen.at(-1) === versionOf(2));
  expect(logged()).toEqual([]);
});

test('a notice on another channel is nothing to it', async () => {
  const { seen } = startListener();
  await eventually(async () => seen.length === 1);
  await database.query(`select pg_notify('something_else', 'x')`);
  await promote(1);
  await eventually(async () => seen.length > 1);
  expect(seen).toEqual([undefined, versionOf(1)]);
});

test('when its connection is cut it connects again and reads what was promoted meanwhile', async () => {
  const { seen, logged } = startListener();
  const [pid] = await eventually(async () => {
    const pids = await listeningPids();
    return seen.length === 1 && pids.length === 1 && pids;
  });
  await database.query('select pg_terminate_backend($1, 5000)', [pid]);
  await promote(1);
  await eventually(async () => seen.at(-1) === versionOf(1));
  await eventually(async () => (await listeningPids()).some((other) => other !== pid));
  await promote(2);
  await eventually(async () => seen.at(-1) === versionOf(2));
  expect(logged()).toEqual([
    'warn: the database is not reachable; serving goes on with what is in memory',
    'info: the database is reachable again',
  ]);
});

test('it outlives cut after cut', async () => {
  const { seen } = startListener();
  for (const day of [1, 2, 3]) {
    const pids = await eventually(async () => {
      const found = await listeningPids();
      return found.length > 0 && found;
    });
    for (const pid of pids) await database.query('select pg_terminate_backend($1, 5000)', [pid]);
    await promote(day);
    await eventually(async () => seen.at(-1) === versionOf(day));
  }
});

test('the poll finds a promotion that was not announced', async () => {
  const { seen } = startListener({ pollSeconds: 1 });
  await eventually(async () => seen.length === 1);
  await promote(1, { notify: false });
  await eventually(async () => seen.at(-1) === versionOf(1));
});

test('without the poll an unannounced promotion is found at the next notice', async () => {
  const { seen } = startListener();
  await eventually(async () => seen.length === 1);
  await promote(1, { notify: false });
  await database.query(`select pg_notify($1, 'a hint')`, [PROMOTION_CHANNEL]);
  await eventually(async () => seen.at(-1) === versionOf(1));
});

test('a database that is not there yet is found once it is, and said once', async () => {
  const later = new URL(database.url);
  later.pathname += '_later';
  const { seen, logged } = startListener({ url: later.href });
  await eventually(async () => logged().length === 1);
  expect(seen).toEqual([]);
  await database.query(`create database ${later.pathname.slice(1)}`);
  closers.push(async () => void (await database.query(`drop database ${later.pathname.slice(1)} with (force)`)));
  await eventually(async () => seen.length > 0);
  expect(logged()).toEqual([
    'warn: the database is not reachable; serving goes on with what is in memory',
    'info: the database is reachable again',
  ]);
});

test('a reading that fails does not end it', async () => {
  const { seen, logged } = startListener({ pollSeconds: 1 });
  await eventually(async () => seen.length === 1);
  await database.query('alter table ml_pipeline_promotion rename to elsewhere');
  await database.query(`select pg_notify($1, 'x')`, [PROMOTION_CHANNEL]);
  await eventually(async () => logged().length === 1);
  await database.query('alter table elsewhere rename to ml_pipeline_promotion');
  await promote(1);
  await eventually(async () => seen.at(-1) === versionOf(1));
});

test('after a reading that failed, the first one that works is logged', async () => {
  const { seen, logged } = startListener({ pollSeconds: 1 });
  await eventually(async () => seen.length === 1);
  const [unreachable, reachable] = [
    'warn: the database is not reachable; serving goes on with what is in memory',
    'info: the database is reachable again',
  ];
  await database.query('alter table ml_pipeline_promotion rename to elsewhere');
  await eventually(async () => logged().includes(unreachable));
  await database.query('alter table elsewhere rename to ml_pipeline_promotion');
  await eventually(async () => logged().length > 1);
  expect(logged()).toEqual([unreachable, reachable]);
});

test('once closed it reads no more and its connection is gone', async () => {
  const { seen, close } = startListener({ pollSeconds: 1 });
  // The reading that listening begins with has ended; close does not wait for one that is under way.
  await eventually(async () => (await listeningPids()).length === 1 && seen.length > 0);
  await close();
  await eventually(async () => (await listeningPids()).length === 0);
  const before = seen.length;
  await promote(1);
  expect(seen).toHaveLength(before);
});

test('closing does not wait for a database that says nothing', async () => {
  const silent = createServer();
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const connected = once(silent, 'connection') as Promise<[Socket]>;
  const url = new URL(database.url);
  Object.assign(url, { hostname: '127.0.0.1', port: String((silent.address() as AddressInfo).port) });
  const { close } = startListener({ url: url.href });
  const [peer] = await connected;
  await close();
  expect(peer.readyState).toBe('open');
  peer.destroy();
  silent.close();
});
