/**
 * The server process of a cluster: seen, started and stopped.
 *
 * Whether it runs is read from its `postmaster.pid` and the process by that number, never from our own memory: it may
 * have been started by a process that was killed since, or been killed itself. Only a process that proves to be the server
 * of this very cluster (identity.ts) is joined or stopped. PostgreSQL itself notices a file that a dead server has left;
 * we step in only if its number belongs to another program now, or if it holds none. Even then two servers cannot run on
 * one cluster: the second refuses to start while processes are attached to the shared memory of the first.
 */
import { closeSync, openSync } from 'node:fs';
import { readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../free-port.ts';
import { lastLines, PROGRAM_TIMEOUT_MS, runProgram } from './binaries.ts';
import type { Cluster } from './cluster.ts';
import { unlessAbsent } from './cluster.ts';
import { isServerOf, servesFrom } from './identity.ts';

/** What `postmaster.pid` says of a live server. */
export interface Postmaster {
  port: number;
  ready: boolean;
}

/** For obstacles that clear by themselves: backends that outlive a killed server, a port that was taken just before. */
export const RETRY_MS = 10_000;
/** How often we look again at what we wait for. */
export const POLL_MS = 10;
const LOG_LIMIT_BYTES = 1_000_000;
/** PostgreSQL writes its `postmaster.pid` in an instant, so one without a number is a remnant when it is older. */
const WRITTEN_WITHIN_MS = 2_000;
const LARGEST_PID = 2 ** 31 - 1;

/** Given on the command line, so that they follow this file and not the one initdb wrote years ago. */
const SETTINGS = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'shared_buffers=64MB',
  'max_wal_size=256MB',
  'timezone=UTC',
  'log_timezone=UTC',
  'log_checkpoints=off',
  // A failed statement is reported to whoever sent it. Logging it here too would let one bug fill the disk.
  'log_min_messages=log',
];

/** The pg_ctl that each cluster was last started with: it goes on for a moment after we have seen the server. */
const launches = new WeakMap<Cluster, Promise<void>>();

/**
 * Waits for the server, starting it if it is not there. pg_ctl makes it a daemon and reports a failure; success is seen
 * sooner in `postmaster.pid`, which pg_ctl looks at only ten times a second.
 *
 * Rejects with the signal's reason when that fires, but never while a launch is under way: whoever stops the server then
 * must be able to see it.
 */
export async function ensureRunning(
  cluster: Cluster,
  onProgress: (message: string) => void,
  signal: AbortSignal | undefined,
): Promise<Postmaster> {
  const begun = Date.now();
  let launching = false;
  let failure: string | undefined;
  for (; Date.now() < begun + PROGRAM_TIMEOUT_MS || launching; await delay(POLL_MS)) {
    const server = await postmaster(cluster);
    if (server?.ready) return server;
    if (launching) continue;
    signal?.throwIfAborted();
    // Neither starting nor stopping takes long, unless it recovers from a crash.
    if (server !== undefined) continue;
    if (failure !== undefined && (!/still in use|TCP\/IP|bind/.test(failure) || Date.now() > begun + RETRY_MS)) break;
    if (failure === undefined) onProgress('starting PostgreSQL');
    launching = true;
    const launched = launch(cluster)
      .catch((error: Error) => {
        failure = error.message;
      })
      .finally(() => {
        launching = false;
      });
    launches.set(cluster, launched);
  }
  const silence = 'It was not ready within two minutes. If no PostgreSQL is running there, delete its postmaster.pid.';
  throw new Error(
    `The embedded PostgreSQL in ${cluster.path} does not start. ${failure ?? silence}\n` +
      `Correct what its log, ${cluster.log}, complains of, or move that directory away to begin with an empty ` +
      'database',
  );
}

/** Ends the server, if it runs, and the sessions it still has. */
export async function stopServer(cluster: Cluster): Promise<void> {
  if ((await postmaster(cluster)) !== undefined) {
    const args = ['stop', '-D', cluster.path, '-m', 'fast', '-w', '-t', String(PROGRAM_TIMEOUT_MS / 1000)];
    await runProgram(cluster.account, cluster.binaries.pgCtl, args);
  }
  await launches.get(cluster);
}

async function launch(cluster: Cluster): Promise<void> {
  const { path, log, binaries } = cluster;
  const before = (await stat(log).catch(unlessAbsent))?.size ?? 0;
  if (before > LOG_LIMIT_BYTES) await rename(log, `${log}.1`);
  // Opened by us and inherited: the account of the server need not be able to write where the log is.
  const output = openSync(log, 'a', 0o600);
  // Where another program takes the port before it, the server fails to start, and is tried again.
  const settings = [`port=${await freePort()}`, ...SETTINGS].map((setting) => `-c ${setting}`).join(' ');
  const args = ['start', '-D', path, '-s', '-w', '-t', String(PROGRAM_TIMEOUT_MS / 1000), '-o', settings];
  try {
    await runProgram(cluster.account, binaries.pgCtl, args, output);
  } catch (error) {
    const said = (await readFile(log)).subarray(before > LOG_LIMIT_BYTES ? 0 : before).toString();
    throw new Error(`${(error as Error).message}\n${lastLines(said)}`, { cause: error });
  } finally {
    closeSync(output);
  }
}

/** The server of the cluster, if it is alive. Removes a `postmaster.pid` that would keep a new one from starting. */
async function postmaster(cluster: Cluster): Promise<Postmaster | undefined> {
  const file = join(cluster.path, 'postmaster.pid');
  const lines = (await readFile(file, 'utf8').catch(unlessAbsent))?.split('\n');
  if (lines === undefined) return undefined;
  // PostgreSQL in single-user mode, which someone may be repairing the cluster with, writes its number negative.
  const pid = Math.abs(Number(lines[0]));
  if (!Number.isInteger(pid) || pid === 0 || pid > LARGEST_PID) return await remnant(file);
  if (!isAlive(pid)) return undefined;
  const port = Number(lines[3]);
  const isOurs = (await isServerOf(cluster.path, pid)) ?? (await answersAsOurs(cluster, port));
  if (isOurs === false) await rm(file, { force: true });
  if (isOurs === false || lines[0]?.startsWith('-')) return undefined;
  return { port, ready: isOurs === true && port > 0 && lines[7]?.trim() === 'ready' };
}

/** A file without a number: that of a server which starts in this instant, or one which PostgreSQL would not start beside. */
async function remnant(file: string): Promise<Postmaster | undefined> {
  const found = await stat(file).catch(unlessAbsent);
  if (found !== undefined && Math.abs(Date.now() - found.mtimeMs) < WRITTEN_WITHIN_MS) return { port: 0, ready: false };
  await rm(file, { force: true });
  return undefined;
}

/** Asks the server when the process does not show it. Never false: a server that does not answer may be starting. */
async function answersAsOurs({ path, passwordFile }: Cluster, port: number): Promise<true | undefined> {
  if (!(port > 0)) return undefined;
  const password = (await readFile(passwordFile, 'utf8').catch(() => '')).trim();
  return (await servesFrom(path, port, password)) || undefined;
}

/** A process we may not signal (EPERM) belongs to another account than the server's, so it is not the server. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
