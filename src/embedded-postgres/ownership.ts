/**
 * To which data directory a cluster belongs that lies outside of it, behind a symbolic link (see cluster.ts).
 *
 * `<cluster>.owner` beside it holds the path of the link. So a link that was copied along with its directory is not taken
 * for the original: two services would share a server, and each would stop it under the other. And when a data directory
 * is removed, what it has left elsewhere can be named. Removing that is left to the user: the directory may only have been
 * put aside, or be on a volume that is not mounted now.
 */
import { readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

const SUFFIX = '.owner';
/** More than this are not worth a reader's time. */
const MAX_NAMED = 10;

/** Records that the cluster belongs to this link. Throws when it belongs to another link that still exists. */
export async function claim(cluster: string, link: string): Promise<void> {
  const owner = await ownerOf(cluster);
  if (owner === link) return;
  if (owner !== undefined && (await leadsTo(owner, cluster))) {
    throw new Error(
      `${link} leads to ${cluster}, which is the database of ${dirname(owner)}: the link was copied. ` +
        `Remove ${link} and postgres-password beside it, and the next start makes a database of its own.`,
    );
  }
  await writeFile(cluster + SUFFIX, link);
}

/** Clusters in this place to which no data directory leads any more, the newest first; at most ten. */
export async function abandoned(place: string): Promise<string[]> {
  const found: { cluster: string; madeAt: number }[] = [];
  for (const name of await readdir(place)) {
    if (!name.endsWith(SUFFIX)) continue;
    const cluster = join(place, name.slice(0, -SUFFIX.length));
    const owner = await ownerOf(cluster);
    const { birthtimeMs: madeAt } = (await stat(cluster).catch(() => undefined)) ?? {};
    if (madeAt && owner !== undefined && !(await leadsTo(owner, cluster))) found.push({ cluster, madeAt });
  }
  found.sort((one, other) => other.madeAt - one.madeAt);
  return found.slice(0, MAX_NAMED).map(({ cluster }) => cluster);
}

async function ownerOf(cluster: string): Promise<string | undefined> {
  const text = await readFile(cluster + SUFFIX, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  return text?.trim() || undefined;
}

async function leadsTo(link: string, cluster: string): Promise<boolean> {
  const target = await readlink(link).catch(() => undefined);
  return target !== undefined && resolve(dirname(link), target) === cluster;
}

/** Removes the cluster that a link leads to, if it does to one of ours, with what says whose it is. */
export async function removeBehind(link: string): Promise<void> {
  const cluster = await readlink(link).catch(() => undefined);
  if (cluster === undefined || (await ownerOf(cluster)) !== link) return;
  await rm(cluster, { recursive: true, force: true });
  await rm(cluster + SUFFIX, { force: true });
}
