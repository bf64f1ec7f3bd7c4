/**
 * Whether a process is the server of a cluster.
 *
 * The number in a `postmaster.pid` proves nothing: it may have been left by a server that is gone, copied along with a
 * data directory, and given since to any program, another PostgreSQL included. The proof is the process itself. A server
 * works in its data directory, which Linux shows, and that holds when the directory is moved; where it does not (root in
 * a container may not look into the processes of others), the command line names the directory; and where that cannot be
 * seen either, the server is asked, with the password that it alone should take.
 */
import { execFile } from 'node:child_process';
import { readFile, realpath, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';

/** The name of the superuser, the only one there is. */
export const USER = 'ridgeline';
const PATIENCE_MS = 5_000;

/** True or false, or undefined when nothing of the process can be seen. */
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
  if (named === undefined) return undefined;
  return named === cluster || (await realpath(named).catch(() => named)) === cluster;
}

/** Whether the server on this port takes our password and says that its data is in this cluster. */
export async function saysItIsServerOf(cluster: string, port: number, password: string): Promise<boolean> {
  const client = new Client({
    ...{ host: '127.0.0.1', port, user: USER, password, database: 'postgres', ssl: false },
    ...{ connectionTimeoutMillis: PATIENCE_MS, query_timeout: PATIENCE_MS },
  });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query("select current_setting('data_directory') as directory");
    return (await realpath(rows[0].directory)) === cluster;
  } catch {
    return false;
  } finally {
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
