/** Spools that dead processes have left: found, locked, and measured for the relay. */
import { open, readdir, rm, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Column } from '../../feature-schema.ts';
import { type FrameScan, LONGEST_FRAME, scanFrames } from './frames.ts';
import { createSegment, type Segment } from './segment.ts';
import { lockDirectory } from './spool.ts';

/** Room for whole frames. */
const MEASURE_BYTES = 2 * LONGEST_FRAME;

export interface Orphans {
  /**
   * Takes over the spools whose processes are gone, and returns how many rows they hold. Their segments come sealed. What
   * a crash may leave at a file's end, a torn frame whose write never ended or zeros, is left out of `writtenBytes`.
   */
  adopt(): Promise<number>;
  /** The segments that were taken over and not removed yet. */
  segments(): readonly Segment[];
  /** Removes a segment whose records have all been relayed, and with the last of them its directory. */
  remove(segment: Segment): Promise<void>;
}

export function createOrphans(root: string, columns: readonly Column[]): Orphans {
  /** By directory. */
  const adopted = new Map<string, { segments: Segment[]; release: () => void }>();

  async function finish(directory: string): Promise<void> {
    await rm(directory, { recursive: true, force: true });
    adopted.get(directory)?.release();
    adopted.delete(directory);
  }

  return {
    async adopt() {
      let rows = 0;
      for (const entry of await readdir(root, { withFileTypes: true }).catch(() => [])) {
        if (!entry.isDirectory()) continue;
        const directory = join(root, entry.name);
        const release = lockDirectory(directory);
        if (!release) continue;
        const files = (await readdir(directory)).filter((file) => file.endsWith('.segment')).sort();
        const segments = await Promise.all(files.map((file) => measureSegment(join(directory, file), columns)));
        adopted.set(directory, { segments, release });
        if (segments.length === 0) await finish(directory);
        rows += segments.reduce((sum, { pendingRows }) => sum + pendingRows, 0);
      }
      return rows;
    },
    segments: () => [...adopted.values()].flatMap(({ segments }) => segments),
    async remove(segment) {
      const directory = dirname(segment.path);
      const { segments } = adopted.get(directory)!;
      await unlink(segment.path);
      segments.splice(segments.indexOf(segment), 1);
      if (segments.length === 0) await finish(directory);
    },
  };
}

async function measureSegment(path: string, columns: readonly Column[]): Promise<Segment> {
  const file = await open(path, 'r');
  try {
    const { size, mtimeMs } = await file.stat();
    const window = Buffer.allocUnsafe(MEASURE_BYTES);
    let pendingRows = 0;
    let writtenBytes = 0;
    for (let position = 0; position < size; ) {
      const { bytesRead } = await file.read(window, 0, window.length, position);
      const bytes = window.subarray(0, bytesRead);
      let scan = scanFrames(bytes, { maxRows: Number.POSITIVE_INFINITY, isWhole: false });
      if (scan.consumed === 0) {
        // A frame that ends beyond the file: torn, unless others follow it; then its length is damaged.
        scan = scanFrames(bytes, { maxRows: Number.POSITIVE_INFINITY, isWhole: true });
        if (scan.rows === 0) break;
      }
      pendingRows += scan.rows;
      const end = scan.consumed - zerosAtEnd(scan);
      if (end > 0) writtenBytes = position + end;
      position += scan.consumed;
    }
    return createSegment({ path, columns, writtenBytes, pendingRows, sealed: true, oldestAt: mtimeMs });
  } finally {
    await file.close();
  }
}

function zerosAtEnd({ damaged, endsDamaged }: FrameScan): number {
  const last = damaged.at(-1);
  return endsDamaged && last && !last.some(Boolean) ? last.length : 0;
}
