/**
 * The spool: predictions on local disk between their answer and their row in Postgres. Records are appended to segments,
 * files of bounded size in a directory that one live process owns; the relay reads them and has them removed.
 *
 *     directory: locked by its process -> orphaned (its process is gone, the kernel has freed the lock) -> adopted
 *
 * When `append` returns, the bytes are with the kernel, so that they outlive the process, however it is killed; with
 * `fsync` it resolves when they are on the disk and outlive a power loss. The directory is made when it is needed, and
 * again when it has gone: a disk that is full or broken at the start may be well later.
 */
import { unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Column } from '../../contract/contract.ts';
import { diskAdvice } from '../../disk-advice.ts';
import { RidgelineError, reasonOf } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { PredictionBatch } from '../prediction-batch.ts';
import { FRAME_BYTES, fitFrames, frameBatch, frameHeader } from './frames.ts';
import { createOwnDirectory } from './own-directory.ts';
import { createSegment, type Segment } from './segment.ts';
import type { SegmentFile } from './segment-file.ts';
import { isGone } from './spool-directory.ts';
import { createSpoolUsage } from './spool-usage.ts';

export interface Spool {
  /** Throws `spool` and leaves no part of the batch when it cannot append it. */
  append(batch: PredictionBatch): void | Promise<void>;
  /** Throws or rejects with `spool` when an append like the last one would fail; leaves nothing behind. */
  probe(): void | Promise<void>;
  /** The segments that hold records, oldest first. */
  segments(): readonly Segment[];
  /** Removes a segment whose records have all been relayed, or whose file is gone. */
  remove(segment: Segment): void;
  /** Whether this process writes there, or still has segments there. */
  owns(directory: string): boolean;
  /** Ends writing; removes what is empty and frees the directory. */
  close(): Promise<void>;
}

export interface SpoolOptions {
  /** The directory of all spools; this process gets one of its own inside. */
  root: string;
  columns: readonly Column[];
  /** Of all spools in the root. */
  maxBytes: number;
  fsync: boolean;
  log: Pick<Log, 'error'>;
}

/** Large enough that files are rare, small enough that a replay after a crash is short: about 40,000 rows. */
const SEGMENT_BYTES = 8 * 1024 * 1024;
/** A small limit is divided into so many segments, as a segment gives its room back only as a whole. */
const SEGMENTS_OF_LIMIT = 8;
/** A scratch buffer for the frames of any usual append. */
const SCRATCH_BYTES = 512 * 1024;
/** How long predictions may go to a file that somebody has removed. */
const CHECK_MS = 1_000;

interface Open {
  segment: Segment;
  file: SegmentFile;
  /** Bytes that the file may have. */
  limit: number;
}

/** What of a batch one file has taken. */
interface Part {
  to: Open;
  before: number;
  rows: number;
}

export function createSpool({ root, columns, maxBytes, fsync, log }: SpoolOptions): Spool {
  const header = frameHeader(columns);
  const segmentBytes = Math.min(SEGMENT_BYTES, Math.floor(maxBytes / SEGMENTS_OF_LIMIT));
  const frameBytes = Math.min(FRAME_BYTES, segmentBytes - header.length);
  const scratch = Buffer.allocUnsafe(SCRATCH_BYTES);
  const usage = createSpoolUsage(root);
  const directory = createOwnDirectory({ root, header, fsync });
  const segments: Segment[] = [];
  let open: Open | undefined;
  let ownBytes = 0;
  let lastBytes = 0;
  let checkDue = 0;

  function append(batch: PredictionBatch): void | Promise<void> {
    const bytes = frameBatch(batch, scratch, frameBytes);
    lastBytes = bytes.length;
    const at = performance.now();
    if (open && at >= checkDue) checkFiles(open);
    if (!open || open.file.length + bytes.length > open.limit) return appendAcross(bytes, at);
    try {
      open.file.append(bytes);
    } catch (error) {
      throw failed(error);
    }
    open.segment.appended({ bytes: bytes.length, rows: batch.predictions.length, at });
    ownBytes += bytes.length;
    if (fsync) return synced(open);
  }

  /** Fills this segment and as many more as it takes: a batch may be larger than one. */
  function appendAcross(bytes: Buffer, now: number): void | Promise<void> {
    const parts: Part[] = [];
    const full: Open[] = [];
    try {
      makeSureOfRoom(header.length + bytes.length);
      for (let at = 0; at < bytes.length; ) {
        open ??= begin();
        const { length } = open.file;
        const { end, rows } = fitFrames(bytes, at, open.limit - length, length === header.length);
        if (end > at) {
          open.file.append(bytes.subarray(at, end));
          parts.push({ to: open, before: length, rows });
          at = end;
        } else {
          full.push(open);
          open = undefined;
        }
      }
    } catch (error) {
      // Rows that stay there are relayed by a later process, which adds only those that Postgres lacks.
      for (const { to, before } of parts) to.file.cutBackIfPossible(before);
      for (const one of full) end(one);
      throw failed(error);
    }
    for (const { to, before, rows } of parts) to.segment.appended({ bytes: to.file.length - before, rows, at: now });
    ownBytes += bytes.length;
    const syncs = fsync ? parts.map(({ to }) => synced(to)) : [];
    for (const one of full) end(one);
    if (fsync) return Promise.all(syncs).then(() => undefined);
  }

  /** Returns the bytes that are left. Other processes may take some too, each at most a segment. */
  function makeSureOfRoom(bytes: number): number {
    const left = maxBytes - ownBytes;
    const room = bytes > left ? left : left - usage.measure(directory.path());
    if (bytes <= room) return room;
    throw new RidgelineError('spool', {
      detail: `It has reached SPOOL_MAX_BYTES (${maxBytes}): bring Postgres back, or allow more.`,
    });
  }

  function begin(): Open {
    const room = makeSureOfRoom(header.length);
    const { path, file } = directory.createFile();
    const segment = createSegment({ path, columns, writtenBytes: header.length });
    segments.push(segment);
    ownBytes += header.length;
    checkDue = performance.now() + CHECK_MS;
    return { segment, file, limit: Math.min(segmentBytes, room) };
  }

  /** What is written to a file that somebody has removed is gone when the process ends. */
  function checkFiles({ segment, file }: Open): void {
    checkDue = performance.now() + CHECK_MS;
    if (file.isGone()) {
      const { path, pendingRows: rows } = segment;
      log.error({ path, rows }, 'a file of the spool was removed, and predictions with it');
      remove(segment);
    } else if (directory.isLost()) {
      seal();
      directory.abandon();
    }
  }

  async function synced({ segment, file }: Open): Promise<void> {
    try {
      await file.synced();
    } catch (error) {
      if (open?.segment === segment) seal();
      throw writeFailed(error);
    }
  }

  function probe(): void | Promise<void> {
    // Zeros at the end of a file are what a power loss leaves: no reader takes them for records.
    // No more than a segment holds: a batch that is larger than all of the spool must not keep the others out of it.
    const zeros = scratch.subarray(0, Math.max(0, Math.min(lastBytes, segmentBytes - header.length))).fill(0);
    try {
      makeSureOfRoom(header.length + zeros.length);
      open ??= begin();
      const { length } = open.file;
      open.file.append(zeros);
      open.file.cutBack(length);
    } catch (error) {
      throw failed(error);
    }
    if (fsync) return synced(open);
  }

  /** Only a sealed segment can be removed when its records have been relayed, and make room. */
  function failed(error: unknown): RidgelineError {
    seal();
    return error instanceof RidgelineError ? error : writeFailed(error);
  }

  function seal(): void {
    if (open) end(open);
    open = undefined;
  }

  /** A segment without records goes at once: attempts may go on for hours. */
  function end({ segment, file }: Open): void {
    segment.seal();
    file.close();
    if (segment.writtenBytes > header.length) return;
    try {
      remove(segment);
    } catch {
      // The relay has it removed when the disk lets it.
    }
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
    if (open?.segment !== segment) return;
    open.file.close();
    open = undefined;
  }

  return {
    append,
    probe,
    segments: () => segments,
    remove,
    owns: (path) => path === directory.path() || segments.some((segment) => dirname(segment.path) === path),
    async close() {
      seal();
      for (const segment of [...segments]) if (segment.pendingRows === 0) remove(segment);
      await directory.close(segments.length === 0);
    },
  };
}

function writeFailed(error: unknown): RidgelineError {
  return new RidgelineError('spool', {
    detail: `${reasonOf(error)}. ${diskAdvice(error, 'DATA_DIR')}`,
    cause: error,
  });
}
