/**
 * The cluster: the directory that holds all of PostgreSQL's data, made once by initdb and kept across restarts.
 *
 * It is `<dataDir>/postgres`, unless we are root and others may not enter `<dataDir>`. PostgreSQL refuses to run as
 * root, so as root we run it as `nobody` (or as whoever owns the cluster), and that account has to reach its files. As
 * the modes of the directories above are not ours to change, the cluster is then in /var/lib/ridgeline, behind a symbolic
 * link.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { chown, mkdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Account, PostgresBinaries } from './binaries.ts';
import { anyoneMayEnter, makeTrusted, postgresBinaries, runProgram } from './binaries.ts';
import { USER } from './identity.ts';
import { abandoned, claim } from './ownership.ts';
import { makeWhole, removeLeftovers } from './workshop.ts';

/** One cluster and what it takes to run it. */
export interface Cluster {
  /** The directory as the server sees it, with no symbolic link in it. */
  path: string;
  log: string;
  /** Holds the password of the superuser. */
  passwordFile: string;
  binaries: PostgresBinaries;
  account: Account | undefined;
}

/** Where root's clusters go: the first of these that can be used. */
const PLACES = ['/var/lib/ridgeline', join(tmpdir(), 'ridgeline')];

/** Where the cluster is or will be, and the programs and the account to run it with. */
export async function findCluster(dataDir: string, onProgress: (message: string) => void): Promise<Cluster> {
  const home = join(dataDir, 'postgres');
  const log = join(dataDir, 'postgres.log');
  const isRoot = process.getuid?.() === 0;
  const binaries = await postgresBinaries({ dataDir, shared: isRoot, onProgress });
  const target = await readlink(home).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'EINVAL') throw error;
    return undefined;
  });
  let path = target === undefined ? home : resolve(dataDir, target);
  // pg_ctl hands the path to a shell, between double quotes but otherwise as it is.
  if (/["$`]/.test(path)) throw new Error(`The path ${path} has a ", $ or backquote in it: set another DATA_DIR`);
  const owner = await stat(path).catch(unlessAbsent);
  if (isRoot && owner === undefined && target === undefined && !(await anyoneMayEnter(dataDir))) {
    const place = await placeForNobody();
    path = join(place, randomUUID());
    // The link first: if we are killed before the cluster is there, the next start goes on in the same place.
    await symlink(path, home);
    onProgress(`the database is kept in ${path}: PostgreSQL does not run as root, and others may not enter ${dataDir}`);
    const unused = await abandoned(place);
    if (unused.length > 0) {
      const names = unused.map((cluster) => `${cluster} ${cluster}.owner`).join(' ');
      onProgress(`earlier databases are still there, whose DATA_DIR is gone; to remove them: rm -r ${names}`);
    }
  }
  // Elsewhere a link is the user's own arrangement.
  if (path !== home && PLACES.includes(dirname(path))) await claim(path, home);
  const known = { path, log, binaries, passwordFile: join(dataDir, 'postgres-password') };
  if (!isRoot) return { ...known, account: undefined };
  const account = owner !== undefined && owner.uid !== 0 ? { uid: owner.uid, gid: owner.gid } : await nobody();
  return { ...known, account };
}

/** Makes the cluster if it is not there yet, and returns the password of its superuser. */
export async function ensureInitialised(cluster: Cluster, onProgress: (message: string) => void): Promise<string> {
  const { path, passwordFile, binaries } = cluster;
  const kept = (await readFile(passwordFile, 'utf8').catch(unlessAbsent))?.trim();
  if ((await stat(path).catch(unlessAbsent)) !== undefined) {
    const ours = binaries.version.split('.')[0];
    const theirs = (await readFile(join(path, 'PG_VERSION'), 'utf8').catch(unlessAbsent))?.trim();
    if (theirs !== ours) {
      const origin = theirs === undefined ? 'is not a complete database (no PG_VERSION)' : `is of PostgreSQL ${theirs}`;
      throw new Error(
        `${path} ${origin}, and this is PostgreSQL ${ours}, which cannot read it. Move that directory away to begin ` +
          `with an empty database, or set DATABASE_URL to a PostgreSQL ${theirs ?? 'server'} that can.`,
      );
    }
    if (kept) return kept;
    throw new Error(`${passwordFile} is missing. Restore it, or move ${path} away to begin with an empty database.`);
  }

  onProgress(`creating a database in ${path}`);
  // An existing password stays: it may belong to a cluster that was moved away, and suits a new one as well.
  const password = kept || randomBytes(24).toString('hex');
  if (!kept) await writeFile(passwordFile, password, { mode: 0o600, flush: true });
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  // We hold the lock, so no workshop of this cluster is in use.
  await removeLeftovers(path, 0);
  await makeWhole(path, (workshop) => initdb(cluster, workshop, password));
  return password;
}

/** Makes a cluster in the workshop and returns its path there. */
async function initdb({ account, binaries }: Cluster, workshop: string, password: string): Promise<string> {
  const made = join(workshop, 'cluster');
  const copy = join(workshop, 'password');
  await writeFile(copy, password, { mode: 0o600 });
  if (account !== undefined) for (const ours of [copy, workshop]) await chown(ours, account.uid, account.gid);
  // The builtin locale sorts alike on every machine, whatever its C library has installed.
  const locale = ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C', '--encoding=UTF8'];
  const login = ['--auth=scram-sha-256', `--pwfile=${copy}`, `--username=${USER}`];
  await runProgram(account, binaries.initdb, ['-D', made, ...locale, ...login]);
  return made;
}

async function placeForNobody(): Promise<string> {
  const [system, fallback] = PLACES as [string, string];
  const place = await makeTrusted(system).then(
    () => system,
    () => makeTrusted(fallback).then(() => fallback),
  );
  if (!(await anyoneMayEnter(place))) throw new Error(`${place} must be open to all users (mode 0755)`);
  return place;
}

async function nobody(): Promise<Account> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const [, uid = 65534, gid = 65534] = /^nobody:[^:]*:(\d+):(\d+):/m.exec(passwd) ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

/** For what may be missing: turns that one error into `undefined`. */
export function unlessAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
