/**
 * The spool: predictions on local disk between their answer and their row in Postgres. Records are appended to segments,
 * files of bounded size in a directory that one live process owns; the relay reads them and has them removed.
 *
 *     directory: locked by its process -> orphaned (its process is gone, the kernel has freed the lock) -> adopted
 *
 * `append` has handed the bytes to the kernel when it returns, so that they outlive the process, by any signal; with
 * `fsync` it resolves when they are on the disk and outlive a power loss. After a failed fsync the kernel may have
 * dropped the pages and called them clean, so that file is never synced again: it is sealed and a new one begun.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, fdatasync, fsyncSync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { RidgelineError, reasonOf } from '../../errors.ts';
import type { Column } from '../../feature-schema.ts';
import type { PredictionBatch } from '../prediction-batch.ts';
import { frameBatch, frameHeader } from './frames.ts';
import { createSegment, type Segment } from './segment.ts';
import { lockDirectory } from './spool-directory.ts';

export interface Spool {
  /** Throws `spool` and leaves no part of the batch when it cannot append it. */
  append(batch: PredictionBatch): void | Promise<void>;
  /** Throws or rejects with `spool` when an append like the last one that failed would fail again; leaves nothing behind. */
  probe(): void | Promise<void>;
  /** The segments that hold records, oldest first. */
  segments(): readonly Segment[];
  /** Removes a sealed segment whose records have all been relayed. */
  remove(segment: Segment): void;
  /** Ends writing; removes what is empty and frees the directory. */
  close(): Promise<void>;
}

export interface SpoolOptions {
  /** The directory of all spools; this process gets one of its own inside. */
  root: string;
  columns: readonly Column[];
  maxBytes: number;
  fsync: boolean;
}

/** Large enough that files are rare, small enough that a replay after a crash is short: about 40,000 rows. */
const SEGMENT_BYTES = 8 * 1024 * 1024;

/** Room for the frames of any usual append: new memory for each costs more than to fill it. */
const SCRATCH_BYTES = 512 * 1024;

const datasync = promisify(fdatasync);

/** Makes and locks a new spool directory. Throws when the disk does not let it. */
export async function openSpool({ root, columns, maxBytes, fsync }: SpoolOptions): Promise<Spool> {
  const { directory, release } = await claimNewDirectory(root);
  const header = frameHeader(columns);
  const scratch = Buffer.allocUnsafe(SCRATCH_BYTES);
  const segments: Segment[] = [];
  let open: { segment: Segment; descriptor: number } | undefined;
  let sequence = 0;
  let totalBytes = 0;
  let lastBytes = 0;

  function startSegment(): { segment: Segment; descriptor: number } {
    const path = join(directory, `${String(++sequence).padStart(12, '0')}.segment`);
    const descriptor = openSync(path, 'ax', 0o600);
    try {
      writeAll(descriptor, header, 0);
      if (fsync) syncDirectory(directory);
    } catch (error) {
      closeSync(descriptor);
      unlinkSync(path);
      throw error;
    }
    const segment = createSegment({ path, columns, writtenBytes: header.length });
    segments.push(segment);
    totalBytes += header.length;
    return { segment, descriptor };
  }

  function seal(): void {
    if (!open) return;
    open.segment.seal();
    closeSync(open.descriptor);
    open = undefined;
  }

  /** Ends a segment in which a write has failed. One without records goes at once: tries may follow for hours. */
  function abandon(): void {
    if (!open) return;
    const { segment } = open;
    seal();
    if (segment.writtenBytes > header.length) return;
    try {
      remove(segment);
    } catch {
      // The relay has it removed when the disk lets it.
    }
  }

  function write(bytes: Buffer): { segment: Segment; descriptor: number } {
    if (totalBytes + bytes.length > maxBytes) {
      // Only a sealed segment can be removed when its records have been relayed, and make room.
      seal();
      throw new RidgelineError('spool', {
        detail: `It has reached SPOOL_MAX_BYTES (${maxBytes}): bring Postgres back, or allow more.`,
      });
    }
    try {
      if (open && open.segment.writtenBytes + bytes.length > SEGMENT_BYTES) seal();
      open ??= startSegment();
      writeAll(open.descriptor, bytes, open.segment.writtenBytes);
      return open;
    } catch (error) {
      abandon();
      throw writeFailed(error);
    }
  }

  function sync({ segment, descriptor }: { segment: Segment; descriptor: number }): Promise<void> {
    return datasync(descriptor).catch((error: unknown) => {
      if (open?.segment === segment) abandon();
      throw writeFailed(error);
    });
  }

  function append(batch: PredictionBatch): void | Promise<void> {
    const bytes = frameBatch(batch, scratch);
    lastBytes = bytes.length;
    const written = write(bytes);
    written.segment.appended({ bytes: bytes.length, rows: batch.predictions.length });
    totalBytes += bytes.length;
    if (fsync) return sync(written);
  }

  function probe(): void | Promise<void> {
    // Zeros at the end of a file are what a power loss leaves: no reader takes them for records.
    const zeros = scratch.subarray(0, lastBytes).fill(0);
    const written = write(zeros);
    try {
      ftruncateSync(written.descriptor, written.segment.writtenBytes);
    } catch (error) {
      abandon();
      throw writeFailed(error);
    }
    if (fsync) return sync(written);
  }

  function remove(segment: Segment): void {
    unlinkSync(segment.path);
    segments.splice(segments.indexOf(segment), 1);
    totalBytes -= segment.writtenBytes;
  }

  return {
    append,
    probe,
    segments: () => segments,
    remove,
    async close() {
      seal();
      for (const segment of [...segments]) if (segment.pendingRows === 0) remove(segment);
      if (segments.length === 0) await rm(directory, { recursive: true, force: true });
      release();
    },
  };
}

async function claimNewDirectory(root: string): Promise<{ directory: string; release: () => void }> {
  while (true) {
    const directory = join(root, randomUUID());
    await mkdir(directory, { recursive: true }).catch((error: unknown) => {
      throw writeFailed(error);
    });
    const release = lockDirectory(directory);
    // Another process may adopt the directory in the instant before it is locked; then there is nothing in it to lose.
    if (release) return { directory, release };
  }
}

/** Writes everything or nothing: what a full disk cut short is taken back. */
function writeAll(descriptor: number, bytes: Buffer, length: number): void {
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
  } catch (error) {
    ftruncateSync(descriptor, length);
    throw error;
  }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
}

function writeFailed(error: unknown): RidgelineError {
  return new RidgelineError('spool', {
    detail: `${reasonOf(error)}. Free space on the disk of DATA_DIR, or repair it.`,
    cause: error,
  });
}
