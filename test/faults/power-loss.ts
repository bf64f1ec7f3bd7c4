/** A power loss, played by hand: what no sync has covered is taken from the segments of a process that was killed. */
import { readdir, readFile, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';

export interface PowerLoss {
  segments: number;
  /** Bytes that were in files and would not be after a power loss. */
  lostBytes: number;
  /** What the service did that it must not, such as closing a file during its sync. */
  violations: string[];
}

type Note = { inode: number; size: number } | { violation: string };

/** Cuts each segment to what the notes of planted/synced-bytes.mjs say is on the disk. */
export async function losePower(spoolRoot: string, notesFile: string): Promise<PowerLoss> {
  const notes = (await readFile(notesFile, 'utf8'))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Note);
  const synced = new Map<number, number>();
  for (const note of notes) {
    if ('inode' in note) synced.set(note.inode, Math.max(note.size, synced.get(note.inode) ?? 0));
  }
  const names = await readdir(spoolRoot, { recursive: true });
  const paths = names.filter((name) => name.endsWith('.segment')).map((name) => join(spoolRoot, name));
  let lostBytes = 0;
  for (const path of paths) {
    const { ino, size } = await stat(path);
    const left = Math.min(size, synced.get(ino) ?? 0);
    lostBytes += size - left;
    await truncate(path, left);
  }
  const violations = notes.flatMap((note) => ('violation' in note ? [note.violation] : []));
  return { segments: paths.length, lostBytes, violations };
}
