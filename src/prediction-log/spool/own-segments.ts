/**
 * The segments of this process: made in its directory, counted, and removed. Together with those of all other processes
 * they stay within SPOOL_MAX_BYTES.
 */
import { unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Column } from '../../contract/contract.ts';
import { RidgelineError } from '../../errors.ts';
import { createOwnDirectory } from './own-directory.ts';
import { createSegment, type Segment } from './segment.ts';
import type { SegmentFile } from './segment-file.ts';
import { isGone } from './spool-directory.ts';
import { createSpoolUsage } from './spool-usage.ts';

export interface OwnSegments {
  /** Oldest first. */
  all(): readonly Segment[];
  /**
   * Returns the bytes that are left. Other processes may take some too, each at most a segment. Throws `spool` when they are
   * fewer than needed.
   */
  roomFor(bytes: number): number;
  /** Makes a file that begins with the header. Throws what the disk says, and leaves nothing behind. */
  begin(header: Buffer, columns: readonly Column[]): { segment: Segment; file: SegmentFile };
  /** Notes what a file has taken; `at` is on the clock of `performance.now()`. */
  appended(to: Segment, what: { bytes: number; rows: number; at: number }): void;
  remove(segment: Segment): void;
  /** Whether a directory is the one that is written to, or still has segments. */
  owns(directory: string): boolean;
  /** Leaves the directory to be adopted if another process may do so; the next segment gets another one. */
  abandonIfLost(): boolean;
  /** Removes what has no records, and frees the directory. */
  close(): Promise<void>;
}

export interface OwnSegmentsOptions {
  /** The directory of all spools. */
  root: string;
  /** Of all spools in the root. */
  maxBytes: number;
  fsync: boolean;
}

export function createOwnSegments({ root, maxBytes, fsync }: OwnSegmentsOptions): OwnSegments {
  const usage = createSpoolUsage(root);
  const directory = createOwnDirectory({ root, fsync });
  const segments: Segment[] = [];
  let ownBytes = 0;

  function roomFor(bytes: number): number {
    const left = maxBytes - ownBytes;
    const room = bytes > left ? left : left - usage.measure(directory.path());
    if (bytes <= room) return room;
    throw new RidgelineError('spool', {
      detail: `It has reached SPOOL_MAX_BYTES (${maxBytes}): bring Postgres back, or allow more.`,
    });
  }

  function remove(segment: Segment): void {
    try {
      unlinkSync(segment.path);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
    const at = segments.indexOf(segment);
    if (at === -1) return;
    segments.splice(at, 1);
    ownBytes -= segment.writtenBytes;
  }

  return {
    all: () => segments,
    roomFor,
    begin(header, columns) {
      const { path, file } = directory.createFile(header);
      const segment = createSegment({ path, columns, writtenBytes: header.length });
      segments.push(segment);
      ownBytes += header.length;
      return { segment, file };
    },
    appended(to, what) {
      to.appended(what);
      ownBytes += what.bytes;
    },
    remove,
    owns: (path) => path === directory.path() || segments.some((segment) => dirname(segment.path) === path),
    abandonIfLost() {
      const isLost = directory.isLost();
      if (isLost) directory.abandon();
      return isLost;
    },
    async close() {
      for (const segment of [...segments]) if (segment.pendingRows === 0) remove(segment);
      await directory.close(segments.length === 0);
    },
  };
}
