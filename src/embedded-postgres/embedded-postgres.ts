/**
 * A PostgreSQL server of our own, for those who have not set DATABASE_URL.
 *
 * Its life: absent -> initialised (a cluster in `<dataDir>/postgres`, made once) -> running (a daemon in a session of
 * its own, so that Ctrl-C reaches us and not the server we still have to write to) -> shared (`npm run train` beside
 * a running service finds the same server) -> stopped by the last process to leave.
 *
 * No state is remembered in memory or in flags. Two kernel locks, which vanish with the process that holds them, make it
 * safe against `kill -9`: `postgres.lock` is held by one process at a time while it starts or stops the server;
 * `postgres.users` is held, shared, by every process that uses it. Whether the server runs is asked of the server itself:
 * its `postmaster.pid`, the process by that number, and a login with our password, which SCRAM lets only the right
 * server accept.
 *
 * A signal can abort a start at any time: the step under way (a copy, initdb, a launch) is finished, as each takes about
 * a second, and then the process leaves as usual.
 */
import { closeSync, openSync } from 'node:fs';
import { mkdir, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { tryLock, unlock } from 'fs-native-extensions';
import { Client } from 'pg';
import { diskAdvice } from '../disk-advice.ts';
import { PROGRAM_TIMEOUT_MS } from './binaries.ts';
import type { Cluster } from './cluster.ts';
import { ensureInitialised, findCluster } from './cluster.ts';
import { USER } from './identity.ts';
import { removeBehind } from './ownership.ts';
import { ensureRunning, POLL_MS, RETRY_MS, stopServer } from './postmaster.ts';

/** A running server that this process uses. */
export interface EmbeddedPostgres {
  /** `postgres://` URL of the database `ridgeline`. */
  url: string;
  /** Leaves; the last process to leave stops the server. Safe to call twice. */
  stop(): Promise<void>;
}

const DATABASE = 'ridgeline';

/** Who hears of progress, and what may abort the start. */
interface Start {
  dataDir: string;
  onProgress: (message: string) => void;
  signal: AbortSignal | undefined;
}

/**
 * Makes, starts or joins the server that belongs to `dataDir`, and returns once it accepts connections. When the signal
 * fires before, rejects with its reason, once nothing that was begun is left.
 */
export async function startEmbeddedPostgres(options: {
  dataDir: string;
  onProgress?: (message: string) => void;
  signal?: AbortSignal;
}): Promise<EmbeddedPostgres> {
  const { onProgress = () => {}, signal } = options;
  try {
    await mkdir(options.dataDir, { recursive: true });
    const start = { dataDir: await realpath(options.dataDir), onProgress, signal };
    return await oneProcessAtATime(start, () => joinServer(start));
  } catch (error) {
    throw signal?.aborted ? signal.reason : explain(error, options.dataDir);
  }
}

/** Removes a directory with all that is in it, and its database, which may be elsewhere. Nobody may be using it. */
export async function removeEmbeddedPostgres(dataDir: string): Promise<void> {
  const path = await realpath(dataDir).catch(() => undefined);
  if (path === undefined) return;
  await removeBehind(join(path, 'postgres'));
  await rm(path, { recursive: true, force: true });
}

async function joinServer(start: Start): Promise<EmbeddedPostgres> {
  const { dataDir, onProgress, signal } = start;
  const users = openSync(join(dataDir, 'postgres.users'), 'a+', 0o600);
  let cluster: Cluster | undefined;
  try {
    if (!tryLock(users, { shared: true })) throw new Error(`${dataDir}/postgres.users is locked by another program.`);
    cluster = await findCluster(dataDir, onProgress);
    signal?.throwIfAborted();
    const password = await ensureInitialised(cluster, onProgress);
    const port = await ensureAccepting(cluster, password, start);
    signal?.throwIfAborted();
    const url = `postgres://${USER}:${password}@127.0.0.1:${port}/${DATABASE}?sslmode=disable`;

    const joined = cluster;
    let left: Promise<void> | undefined;
    const stop = () => {
      // Without a signal: leaving is never aborted.
      left ??= oneProcessAtATime({ ...start, signal: undefined }, () => leaveServer(users, joined)).finally(() =>
        closeSync(users),
      );
      return left;
    };
    return { url, stop };
  } catch (error) {
    // Stops what we may have started; its own errors matter less than the one that is reported.
    if (cluster !== undefined) await leaveServer(users, cluster).catch(() => {});
    closeSync(users);
    throw error;
  }
}

/** Stops the server if no other process uses it. The caller holds `postgres.lock`, so nobody can join meanwhile. */
async function leaveServer(users: number, cluster: Cluster): Promise<void> {
  unlock(users);
  if (tryLock(users)) await stopServer(cluster);
}

/** Runs the task while holding `postgres.lock`. */
async function oneProcessAtATime<T>({ dataDir, onProgress, signal }: Start, task: () => Promise<T>): Promise<T> {
  const path = join(dataDir, 'postgres.lock');
  const lock = openSync(path, 'a+', 0o600);
  try {
    // Polled, because a blocking lock has no time limit and occupies a thread of the pool.
    const deadline = Date.now() + PROGRAM_TIMEOUT_MS;
    for (let waited = false; !tryLock(lock); waited = true) {
      signal?.throwIfAborted();
      if (Date.now() > deadline) {
        throw new Error(`Another process has held ${path} for two minutes. End that process and try again.`);
      }
      if (!waited) onProgress('waiting for another process that is starting or stopping PostgreSQL');
      await delay(POLL_MS);
    }
    return await task();
  } finally {
    closeSync(lock);
  }
}

/** Makes sure that the server runs, takes our login and has our database. Returns its port. */
async function ensureAccepting(cluster: Cluster, password: string, { onProgress, signal }: Start): Promise<number> {
  for (const giveUp = Date.now() + RETRY_MS; ; await delay(POLL_MS)) {
    const { port } = await ensureRunning(cluster, onProgress, signal);
    try {
      if (!(await tryConnect(port, password, DATABASE))) {
        await tryConnect(port, password, 'postgres', `CREATE DATABASE ${DATABASE}`);
      }
      return port;
    } catch (error) {
      const { code = '', message } = error as { code?: string; message: string };
      // The server went away, or is going, just after we saw it: someone stopped or killed it by hand.
      if (['ECONNREFUSED', 'ECONNRESET', '57P01', '57P03'].includes(code) && Date.now() < giveUp) continue;
      throw new Error(
        `The embedded PostgreSQL on port ${port} runs but refuses us: ${message}. If postgres-password beside ` +
          `${cluster.log} was changed, restore it; else see that log`,
        { cause: error },
      );
    }
  }
}

/** Whether the database is there (the statement, if any, is then executed). */
async function tryConnect(port: number, password: string, database: string, statement?: string): Promise<boolean> {
  const client = new Client({
    ...{ host: '127.0.0.1', port, user: USER, password, database, ssl: false },
    ...{ connectionTimeoutMillis: RETRY_MS, query_timeout: PROGRAM_TIMEOUT_MS },
  });
  // A connection that breaks outside a query is an event, and an event without a listener ends the process.
  client.on('error', () => {});
  try {
    await client.connect();
    if (statement !== undefined) await client.query(statement);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === '3D000') return false;
    throw error;
  } finally {
    await client.end().catch(() => {});
  }
}

/** Makes sure that the error says, in one message, what to do about it. */
function explain(error: unknown, dataDir: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (!(error instanceof Error) || message.includes('DATABASE_URL')) return error;
  let advice = '';
  if (code === 'ENOSPC' || code === 'EDQUOT' || /No space left|quota exceeded/i.test(message)) {
    advice = ' Free 200 MB of disk space, or set DATA_DIR to a directory on another disk.';
  } else if (code !== undefined) {
    advice = ` ${diskAdvice(error, 'DATA_DIR')}`;
  }
  return new Error(
    `No embedded PostgreSQL in ${dataDir}: ${message}${/[.\n]$/.test(message) ? '' : '.'}${advice} ` +
      'Or set DATABASE_URL to a PostgreSQL 15 or newer.',
    { cause: error },
  );
}
