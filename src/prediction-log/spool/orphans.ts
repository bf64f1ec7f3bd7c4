/** Spools that dead processes have left: found, locked, and measured for the relay. */
import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecordColumn } from '../postgres/copy-format.ts';
import { LONGEST_FRAME, readStretch, type Stretch } from './frames.ts';
import { lockDirectory, newSegment, type Segment } from './spool.ts';

/** Room for whole frames. */
const MEASURE_BYTES = 2 * LONGEST_FRAME;

/** A spool whose process has gone, now locked by this one. */
export interface OrphanedSpool {
  segments: Segment[];
  /** Removes the directory; to be called when everything in it has been relayed. */
  finish(): Promise<void>;
}

/**
 * Takes over the spools whose processes are gone. Their segments come sealed. What a crash may leave at a file's end, a
 * torn frame whose write never ended or zeros, is left out of `writtenBytes`.
 */
export async function adoptOrphans(root: string, columns: readonly RecordColumn[]): Promise<OrphanedSpool[]> {
  const adopted: OrphanedSpool[] = [];
  for (const entry of await readdir(root, { withFileTypes: true }).catch(() => [])) {
    if (!entry.isDirectory()) continue;
    const directory = join(root, entry.name);
    const release = lockDirectory(directory);
    if (!release) continue;
    const files = (await readdir(directory)).filter((file) => file.endsWith('.segment')).sort();
    const segments = await Promise.all(files.map((file) => measureSegment(join(directory, file), columns)));
    adopted.push({
      segments,
      async finish() {
        await rm(directory, { recursive: true, force: true });
        release();
      },
    });
  }
  return adopted;
}

async function measureSegment(path: string, columns: readonly RecordColumn[]): Promise<Segment> {
  const file = await open(path, 'r');
  try {
    const { size, mtimeMs } = await file.stat();
    const window = Buffer.allocUnsafe(MEASURE_BYTES);
    let pendingRows = 0;
    let writtenBytes = 0;
    for (let position = 0; position < size; ) {
      const { bytesRead } = await file.read(window, 0, window.length, position);
      const bytes = window.subarray(0, bytesRead);
      let stretch = readStretch(bytes, { maxRows: Number.POSITIVE_INFINITY, isWhole: false });
      if (stretch.consumed === 0) {
        // A frame that ends beyond the file: torn, unless others follow it; then its length is damaged.
        stretch = readStretch(bytes, { maxRows: Number.POSITIVE_INFINITY, isWhole: true });
        if (stretch.rows === 0) break;
      }
      pendingRows += stretch.rows;
      const end = stretch.consumed - zerosAtEnd(stretch);
      if (end > 0) writtenBytes = position + end;
      position += stretch.consumed;
    }
    return newSegment(path, columns, { writtenBytes, pendingRows, sealed: true, oldestAt: mtimeMs });
  } finally {
    await file.close();
  }
}

function zerosAtEnd({ damaged, endsDamaged }: Stretch): number {
  const last = damaged.at(-1);
  return endsDamaged && last && !last.some(Boolean) ? last.length : 0;
}
