/**
 * Directories that appear whole or not at all: filled in a workshop beside the place, then renamed.
 *
 * A process that is killed meanwhile leaves its workshop behind, and a later one removes it. A name proves nothing, as the
 * place may be a user's own directory: each workshop begins with a marker file, and nothing is removed without one.
 */
import { randomUUID } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const MARKER = 'made-by-ridgeline';
const NAME = /\.unfinished-[0-9a-f-]{36}$/;

/** Lets `make` fill a workshop and renames the directory whose path it returns to `target`. */
export async function makeWhole(target: string, make: (workshop: string) => Promise<string>): Promise<void> {
  const workshop = `${target}.unfinished-${randomUUID()}`;
  await mkdir(workshop, { mode: 0o700 });
  try {
    // It names the directory: a copy under another name is not ours to remove.
    await writeFile(join(workshop, MARKER), basename(workshop));
    await rename(await make(workshop), target);
  } finally {
    await remove(workshop);
  }
}

/** Removes the workshops of this target that killed processes have left: those untouched for `idleMs` or longer. */
export async function removeLeftovers(target: string, idleMs: number): Promise<void> {
  for (const name of await readdir(dirname(target))) {
    if (!NAME.test(name) || name.replace(NAME, '') !== basename(target)) continue;
    const path = join(dirname(target), name);
    const found = await lstat(path).catch(() => undefined);
    if (!found?.isDirectory() || Date.now() - found.mtimeMs < idleMs) continue;
    if (await isWorkshop(path)) await remove(path);
    // Killed before it could write the marker: then it is empty, and rmdir removes nothing else.
    else await rmdir(path).catch(() => undefined);
  }
}

async function isWorkshop(path: string): Promise<boolean> {
  const marker = join(path, MARKER);
  const found = await lstat(marker).catch(() => undefined);
  if (!found?.isFile() || (process.getuid !== undefined && found.uid !== process.getuid())) return false;
  return (await readFile(marker, 'utf8')) === basename(path);
}

async function remove(workshop: string): Promise<void> {
  await rm(workshop, { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined);
}
