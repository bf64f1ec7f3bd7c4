/**
 * Whether a process is the server of a cluster.
 *
 * The number in a `postmaster.pid` proves nothing: a server that is gone may have left it, or it was copied along with a
 * data directory, and any program may have that number now, another PostgreSQL included. The proof is the process itself.
 * Linux shows its working directory, which is the data directory, also after a move. Where that cannot be seen (root in a
 * container may not look into the processes of others), the command line names the directory. Where that does not help,
 * the server is asked, with our password, to read a file that we have just put into the cluster.
 */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';

/** The name of the superuser, the only one there is. */
export const USER = 'ridgeline';
const PROBE_TIMEOUT_MS = 5_000;

/** True or false, or undefined when the process does not show it. */
export async function isServerOf(cluster: string, pid: number): Promise<boolean | undefined> {
  const command = await commandLine(pid);
  if (command === undefined) return undefined;
  if (!['postgres', 'postgres.exe', 'postmaster'].includes(basename(command[0] ?? ''))) return false;
  const at = process.platform === 'linux' ? await stat(`/proc/${pid}/cwd`).catch(() => undefined) : undefined;
  if (at !== undefined) {
    const directory = await stat(cluster);
    return at.dev === directory.dev && at.ino === directory.ino;
  }
  const flag = command.indexOf('-D');
  const named = flag === -1 ? undefined : command[flag + 1];
  const directory = named === undefined ? undefined : await realpath(named).catch(() => undefined);
  // It is absent when it was moved while the server ran.
  return directory === undefined ? undefined : directory === (await realpath(cluster));
}

/** Whether the server on this port takes our password and reads its files where the cluster is. */
export async function servesFrom(cluster: string, port: number, password: string): Promise<boolean> {
  const client = new Client({
    ...{ host: '127.0.0.1', port, user: USER, password, database: 'postgres', ssl: false },
    ...{ connectionTimeoutMillis: PROBE_TIMEOUT_MS, query_timeout: PROBE_TIMEOUT_MS },
  });
  client.on('error', () => {});
  const proof = `ridgeline-${randomUUID()}`;
  try {
    await client.connect();
    await writeFile(join(cluster, proof), proof);
    // Whatever our umask: the account of the server is another when we are root.
    await chmod(join(cluster, proof), 0o644);
    const { rows } = await client.query('select pg_read_file($1) as content', [proof]);
    return rows[0].content === proof;
  } catch {
    return false;
  } finally {
    await rm(join(cluster, proof), { force: true });
    await client.end().catch(() => {});
  }
}

/** The words of the command; none for a zombie; undefined when they cannot be seen. */
async function commandLine(pid: number): Promise<string[] | undefined> {
  if (process.platform === 'linux') {
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined);
    return text?.split('\0').filter((word) => word !== '');
  }
  if (process.platform === 'win32') return undefined;
  const asked = promisify(execFile)('/bin/ps', ['-ww', '-o', 'command=', '-p', String(pid)]);
  const text = await asked.then(({ stdout }) => stdout.trim()).catch(() => undefined);
  if (text === undefined) return undefined;
  // Words cannot be told apart here, and a path may have blanks: what lies between the first options is the directory.
  const [, program = text, directory] = /^(\S*postgres) -D (.+?)(?= -c |$)/.exec(text) ?? [];
  return directory === undefined ? [program] : [program, '-D', directory];
}
