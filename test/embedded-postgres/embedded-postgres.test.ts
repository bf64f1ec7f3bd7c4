import type { ChildProcess } from 'node:child_process';
import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { findPackage } from '../../src/embedded-postgres/binaries.ts';
import type { EmbeddedPostgres } from '../../src/embedded-postgres/embedded-postgres.ts';
import { startEmbeddedPostgres } from '../../src/embedded-postgres/embedded-postgres.ts';

const MODULE = fileURLToPath(new URL('../../src/embedded-postgres/embedded-postgres.ts', import.meta.url));
const run = promisify(execFile);
const LARGEST_PID = 2 ** 31 - 1;
const isRoot = process.getuid?.() === 0;

const directories: string[] = [];
const servers: EmbeddedPostgres[] = [];
const children: ChildProcess[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const server of servers.splice(0)) await server.stop();
  for (const directory of directories.splice(0)) {
    const cluster = await readlink(join(directory, 'data', 'postgres')).catch(() => undefined);
    for (const path of cluster === undefined ? [] : [cluster, `${cluster}.owner`]) {
      await rm(path, { recursive: true, force: true });
    }
    await rm(directory, { recursive: true, force: true });
  }
}, 60_000);

/** A data directory that others may (0755) or may not (0700) reach. */
async function dataDir(mode: number): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'ridgeline-'));
  directories.push(parent);
  await chmod(parent, mode);
  return join(parent, 'data');
}

async function start(directory: string, onProgress?: (message: string) => void): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({
    dataDir: directory,
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  servers.push(server);
  return server;
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end();
  }
}

/** Another process that starts the same server, says its URL, and leaves when its standard input ends. */
async function startElsewhere(
  directory: string,
): Promise<{ child: ChildProcess; url: string; exit: Promise<unknown> }> {
  const script = `
    const { startEmbeddedPostgres } = await import(${JSON.stringify(MODULE)});
    const server = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(directory)} });
    process.stdout.write(server.url);
    process.stdin.resume().once('end', () => server.stop());`;
  const args = ['--import', 'tsx', '--input-type=module', '--eval', script];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const exit = new Promise((resolve) => child.once('exit', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()));
    child.once('exit', (code) => reject(new Error(`ended with exit code ${code}`)));
  });
  return { child, url, exit };
}

async function postmasterPid(directory: string): Promise<number> {
  return Number((await readFile(join(directory, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0]);
}

async function isStopped(directory: string): Promise<boolean> {
  return stat(join(directory, 'postgres', 'postmaster.pid')).then(
    () => false,
    () => true,
  );
}

describe('embedded PostgreSQL', { timeout: 60_000 }, () => {
  test('starts from nothing, and a second start finds the data of the first', async () => {
    const directory = await dataDir(0o755);
    const messages: string[] = [];
    const first = await start(directory, (message) => messages.push(message));
    expect(await query(first.url, "select 1, current_setting('fsync'), current_setting('timezone')")).toEqual([
      1,
      'on',
      'UTC',
    ]);
    expect(messages.join('\n')).toMatch(/creating a database[\s\S]*starting PostgreSQL/);
    await query(first.url, "create table kept as select 'é' as word");
    await first.stop();
    await first.stop();
    expect(await isStopped(directory)).toBe(true);

    const again: string[] = [];
    const second = await start(directory, (message) => again.push(message));
    expect(await query(second.url, 'select word, upper(word) from kept')).toEqual(['é', 'É']);
    expect(again).toEqual(['starting PostgreSQL']);
  });

  test('is shared by processes that start at once, and stopped by the last to leave', async () => {
    const directory = await dataDir(0o755);
    const [here, there] = await Promise.all([start(directory), startElsewhere(directory)]);
    expect(there.url).toBe(here.url);
    await here.stop();
    expect(await query(there.url, 'select 1')).toEqual([1]);
    there.child.stdin?.end();
    expect(await there.exit).toBe(0);
    expect(await isStopped(directory)).toBe(true);
  });

  test('outlives a killed process, and the next one finds it', async () => {
    const directory = await dataDir(0o755);
    const killed = await startElsewhere(directory);
    killed.child.kill('SIGKILL');
    await killed.exit;
    const next = await start(directory);
    expect(next.url).toBe(killed.url);
    expect(await query(next.url, 'select 1')).toEqual([1]);
    await next.stop();
    expect(await isStopped(directory)).toBe(true);
  });

  test('recovers from a killed server', async () => {
    const directory = await dataDir(0o755);
    const first = await start(directory);
    await query(first.url, 'create table kept as select 1 as number');
    process.kill(await postmasterPid(directory), 'SIGKILL');
    const second = await start(directory);
    expect(await query(second.url, 'select number from kept')).toEqual([1]);
  });

  /** A process of the account the server runs as: the only kind that PostgreSQL itself would mistake for a server. */
  async function bystander(directory: string): Promise<number> {
    const { uid, gid } = await stat(join(directory, 'postgres'));
    const child = spawn('sleep', ['60'], isRoot ? { uid, gid } : {});
    children.push(child);
    return child.pid!;
  }

  test('starts beside any postmaster.pid that is not that of its own server', async () => {
    const directory = await dataDir(0o755);
    await (await start(directory)).stop();
    const file = join(directory, 'postgres', 'postmaster.pid');
    const sleeper = await bystander(directory);
    const remnants = {
      empty: '',
      garbage: '\0\u0001not a number\n',
      'a number and more': '12abc\n',
      'number zero': '0\n',
      'a number too large': '99999999999\n',
      'a number alone': `${sleeper}`,
      'half-written': `${sleeper}\n${directory}/postgres\n17`,
      'a process that is gone': `${LARGEST_PID}\n${directory}/postgres\n1\n1\n\n127.0.0.1\n1 1\nready\n`,
      'the first of all processes': `1\n${directory}/postgres\n1\n1\n\n127.0.0.1\n1 1\nready\n`,
      'this very process': `${process.pid}\n${directory}/postgres\n1\n1\n\n127.0.0.1\n1 1\nready\n`,
    };
    for (const [name, content] of Object.entries(remnants)) {
      await writeFile(file, content);
      const server = await start(directory);
      expect(await query(server.url, 'select 1'), name).toEqual([1]);
      await server.stop();
      expect(await isStopped(directory), name).toBe(true);
    }
    expect(process.kill(sleeper, 0)).toBe(true);
  });

  test('leaves the server of another data directory alone, whatever its own postmaster.pid says of it', async () => {
    const [directory, elsewhere] = [await dataDir(0o755), await dataDir(0o755)];
    await (await start(directory)).stop();
    const other = await start(elsewhere);
    const said = await readFile(join(elsewhere, 'postgres', 'postmaster.pid'), 'utf8');
    for (const content of [said, said.replace(elsewhere, directory)]) {
      await writeFile(join(directory, 'postgres', 'postmaster.pid'), content);
      const server = await start(directory);
      expect(server.url).not.toBe(other.url);
      expect(await query(server.url, "select current_setting('data_directory')")).toEqual([`${directory}/postgres`]);
      await server.stop();
      expect(await query(other.url, 'select 1')).toEqual([1]);
      expect(await readFile(join(elsewhere, 'postgres', 'postmaster.pid'), 'utf8')).toBe(said);
    }
  });

  test('starts a server of its own on a copy, postmaster.pid and password included, of a directory in use', async () => {
    const directory = await dataDir(0o755);
    const original = await start(directory);
    await query(original.url, 'create table kept as select 1 as number');
    await query(original.url, 'checkpoint');
    const copied = await dataDir(0o755);
    await run('cp', ['-a', directory, copied]);
    const copy = await start(copied);
    expect(await query(copy.url, "select number, current_setting('data_directory') from kept")).toEqual([
      1,
      `${copied}/postgres`,
    ]);
    await copy.stop();
    expect(await query(original.url, 'select number from kept')).toEqual([1]);
  });

  test('finds its server again when the directory was moved under it', async () => {
    const directory = await dataDir(0o755);
    const killed = await startElsewhere(directory);
    killed.child.kill('SIGKILL');
    await killed.exit;
    const moved = await dataDir(0o755);
    await rename(directory, moved);
    const server = await start(moved);
    expect(server.url).toBe(killed.url);
    await server.stop();
    expect(await isStopped(moved)).toBe(true);
  });

  test('removes what its killed starts have left, and nothing that has the name alone', async () => {
    const directory = await dataDir(0o755);
    const [ours, foreign, renamed] = Array.from({ length: 3 }, () => `postgres.unfinished-${randomUUID()}`);
    for (const name of [ours, foreign, renamed, 'postgres.init-1', 'postgres.bak']) {
      await mkdir(join(directory, name!, 'cluster'), { recursive: true });
    }
    for (const name of [ours, renamed]) await writeFile(join(directory, name!, 'made-by-ridgeline'), ours!);
    await start(directory);
    const left = (await readdir(directory)).filter((name) => /^postgres\.(un|in|bak)/.test(name));
    expect(left.toSorted()).toEqual([foreign!, renamed!, 'postgres.init-1', 'postgres.bak'].toSorted());
  });

  test.each([0, 20, 50, 100, 200, 400, 800, 1200])('broken off after %i ms, leaves nothing behind', async (ms) => {
    const directory = await dataDir(0o755);
    const broken = AbortSignal.timeout(ms);
    await startEmbeddedPostgres({ dataDir: directory, signal: broken }).then(
      (server) => server.stop(),
      (error: unknown) => expect(error).toBe(broken.reason),
    );
    expect(await isStopped(directory)).toBe(true);
    expect((await readdir(directory)).filter((name) => name.includes('unfinished'))).toEqual([]);
    expect(await query((await start(directory)).url, 'select 1')).toEqual([1]);
  });

  test.runIf(isRoot)('does not share the database of another directory whose link was copied', async () => {
    const directory = await dataDir(0o700);
    await (await start(directory)).stop();
    const copied = join(directory, '..', 'copied');
    await run('cp', ['-a', directory, copied]);
    await expect(start(copied)).rejects.toThrow(/is the database of .*: the link was copied\. Remove/);
    // Once the original is gone there is nothing to be mistaken for.
    await rm(directory, { recursive: true });
    await rename(copied, directory);
    expect(await query((await start(directory)).url, 'select 1')).toEqual([1]);
  });

  test.runIf(isRoot)('names the databases that a removed directory has left elsewhere', async () => {
    const directory = await dataDir(0o700);
    await (await start(directory)).stop();
    const left = await readlink(join(directory, 'postgres'));
    await rm(directory, { recursive: true });
    const messages: string[] = [];
    await start(directory, (message) => messages.push(message));
    await run('rm', ['-r', left, `${left}.owner`]);
    expect(messages.join('\n')).toMatch(new RegExp(`to remove them: rm -r .*${left} ${left}\\.owner`));
  });

  test('is not fooled by a process that was given the number of a dead server', async () => {
    const directory = await dataDir(0o755);
    await (await start(directory)).stop();
    const stale = `${await bystander(directory)}\n${directory}/postgres\n1\n1\n\n127.0.0.1\n1 1\nready\n`;
    await writeFile(join(directory, 'postgres', 'postmaster.pid'), stale);
    const server = await start(directory);
    expect(await query(server.url, 'select 1')).toEqual([1]);
  });

  // What an ordinary user's server can always reach, root's (which runs as nobody) cannot.
  const place = isRoot ? 'outside, behind a link, when run by root' : 'in place when run by an ordinary user';
  test(`keeps the data of a directory closed to others ${place}`, async () => {
    const directory = await dataDir(0o700);
    await query((await start(directory)).url, 'create table kept as select 1 as number');
    expect((await lstat(join(directory, 'postgres'))).isSymbolicLink()).toBe(isRoot);
    await servers.pop()?.stop();
    expect(await query((await start(directory)).url, 'select number from kept')).toEqual([1]);
    expect((await stat(join(directory, '..'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(directory, 'postgres-password'))).mode & 0o777).toBe(0o600);
  });

  test('says which versions differ when the data is of another PostgreSQL', async () => {
    const directory = await dataDir(0o755);
    await mkdir(join(directory, 'postgres'), { recursive: true });
    await writeFile(join(directory, 'postgres', 'PG_VERSION'), '17\n');
    await expect(start(directory)).rejects.toThrow(/is of PostgreSQL 17, and this is PostgreSQL 18.*DATABASE_URL/);
  });

  test('quotes the log when the server cannot start', async () => {
    const directory = await dataDir(0o755);
    await (await start(directory)).stop();
    await rm(join(directory, 'postgres', 'global', 'pg_control'));
    await expect(start(directory)).rejects.toThrow(/does not start[\s\S]*pg_control[\s\S]*DATABASE_URL/);
  });

  test('says what to do when the data directory cannot be made', async () => {
    const directory = await dataDir(0o755);
    await writeFile(directory, 'a file');
    await expect(start(directory)).rejects.toThrow(/DATA_DIR[\s\S]*DATABASE_URL to a PostgreSQL 15 or newer/);
  });

  test('says what to do when there is no package for the platform', async () => {
    await expect(findPackage('plan9-mips')).rejects.toThrow(/plan9-mips.*DATABASE_URL to a PostgreSQL 15 or newer/);
  });
});
