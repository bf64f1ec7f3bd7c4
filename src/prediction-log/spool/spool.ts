/**
 * The spool: predictions on local disk between their answer and their row in Postgres. Records are appended to segments,
 * files of bounded size in a directory that one live process owns; the relay reads them and has them removed.
 *
 *     directory: locked by its process -> orphaned (its process is gone, the kernel has freed the lock) -> adopted
 *
 * All records of a segment have the columns that its header names. While another contract is rolled out batches of both may
 * take turns, so the segment of the columns before stays open for some seconds.
 *
 * When `append` returns, the bytes are with the kernel, so that they outlive the process, however it is killed; with
 * `fsync` it resolves when they are on the disk and outlive a power loss. The directory is made when it is needed, and
 * again when it has gone: a disk that is full or broken at the start may be well later.
 */
import type { Contract } from '../../contract/contract.ts';
import { diskAdvice } from '../../disk-advice.ts';
import { RidgelineError, reasonOf } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { PredictionBatch } from '../prediction-batch.ts';
import { recordColumns } from '../record-columns.ts';
import { fitFrames, frameBatch, frameHeader } from './frame-batch.ts';
import { createOwnSegments } from './own-segments.ts';
import type { Segment } from './segment.ts';
import type { SegmentFile } from './segment-file.ts';

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
/** How long batches of the contract before may come: what was queued, or a promotion that is taken back at once. */
const TURNS_MS = 10_000;

interface Open {
  segment: Segment;
  file: SegmentFile;
  header: Buffer;
  /** Bytes that the file may have. */
  limit: number;
}

/** What of a batch one file has taken. */
interface Part {
  to: Open;
  before: number;
  rows: number;
}

export function createSpool({ root, maxBytes, fsync, log }: SpoolOptions): Spool {
  const segmentBytes = Math.min(SEGMENT_BYTES, Math.floor(maxBytes / SEGMENTS_OF_LIMIT));
  const scratch = Buffer.allocUnsafe(SCRATCH_BYTES);
  const segments = createOwnSegments({ root, maxBytes, fsync });
  /** The newest first. */
  const open: Open[] = [];
  /** Of the last batch, and the header of its columns. */
  let contract: Contract | undefined;
  let header: Buffer = Buffer.alloc(0);
  let turnsEndAt = 0;
  let lastBytes = 0;
  let checkDue = 0;

  function append(batch: PredictionBatch): void | Promise<void> {
    const at = performance.now();
    if (batch.contract !== contract) turnTo(batch.contract, at);
    const bytes = frameBatch(batch, scratch, segmentBytes - header.length);
    lastBytes = bytes.length;
    if (at >= checkDue) checkFiles(at);
    const to = current();
    if (!to || to.file.length + bytes.length > to.limit) return appendAcross(bytes, at);
    try {
      to.file.append(bytes);
    } catch (error) {
      throw failed(error);
    }
    segments.appended(to.segment, { bytes: bytes.length, rows: batch.predictions.length, at });
    if (fsync) return synced(to);
  }

  function turnTo(next: Contract, now: number): void {
    const wanted = frameHeader(recordColumns(next));
    contract = next;
    // Contracts may differ in what the spool does not know, such as a description.
    if (wanted.equals(header)) return;
    header = open.find((one) => one.header.equals(wanted))?.header ?? wanted;
    turnsEndAt = now + TURNS_MS;
  }

  const current = () => open.find((one) => one.header === header);

  /** Fills this segment and as many more as it takes: a batch may be larger than one. */
  function appendAcross(bytes: Buffer, now: number): void | Promise<void> {
    const parts: Part[] = [];
    const full: Open[] = [];
    try {
      segments.roomFor(header.length + bytes.length);
      for (let at = 0; at < bytes.length; ) {
        const to = current() ?? begin();
        const { length } = to.file;
        const { end, rows } = fitFrames(bytes, at, to.limit - length, length === header.length);
        if (end > at) {
          to.file.append(bytes.subarray(at, end));
          parts.push({ to, before: length, rows });
          at = end;
        } else {
          open.splice(open.indexOf(to), 1);
          full.push(to);
        }
      }
    } catch (error) {
      // Rows that stay there are relayed by a later process, which adds only those that Postgres lacks.
      for (const { to, before } of parts) to.file.cutBackIfPossible(before);
      for (const one of full) end(one);
      throw failed(error);
    }
    for (const { to, before, rows } of parts) {
      segments.appended(to.segment, { bytes: to.file.length - before, rows, at: now });
    }
    const syncs = fsync ? parts.map(({ to }) => synced(to)) : [];
    for (const one of full) end(one);
    if (fsync) return Promise.all(syncs).then(() => undefined);
  }

  function begin(): Open {
    for (const one of open.splice(1)) end(one);
    const room = segments.roomFor(header.length);
    // Two take no more than one would, as other processes count only what is written.
    const share = open.length > 0 ? segmentBytes >> 1 : segmentBytes;
    for (const one of open) one.limit = Math.min(one.limit, one.file.length + share);
    const begun = { ...segments.begin(header, recordColumns(contract!)), header, limit: Math.min(share, room) };
    open.unshift(begun);
    checkDue = performance.now() + CHECK_MS;
    return begun;
  }

  /** What is written to a file that somebody has removed is gone when the process ends. */
  function checkFiles(now: number): void {
    checkDue = now + CHECK_MS;
    for (const { segment, file } of [...open]) {
      if (!file.isGone()) continue;
      const { path, pendingRows: rows } = segment;
      log.error({ path, rows }, 'a file of the spool was removed, and predictions with it');
      remove(segment);
    }
    if (now >= turnsEndAt) seal((one) => one.header !== header);
    if (open.length > 0 && segments.abandonIfLost()) seal();
  }

  async function synced({ segment, file }: Open): Promise<void> {
    try {
      await file.synced();
    } catch (error) {
      seal((one) => one.segment === segment);
      throw writeFailed(error);
    }
  }

  function probe(): void | Promise<void> {
    if (!contract) return;
    // Zeros at the end of a file are what a power loss leaves: no reader takes them for records.
    // No more than a segment holds: a batch that is larger than all of the spool must not keep the others out of it.
    const zeros = scratch.subarray(0, Math.max(0, Math.min(lastBytes, segmentBytes - header.length))).fill(0);
    let to: Open;
    try {
      segments.roomFor(header.length + zeros.length);
      to = current() ?? begin();
      const { length } = to.file;
      to.file.append(zeros);
      to.file.cutBack(length);
    } catch (error) {
      throw failed(error);
    }
    if (fsync) return synced(to);
  }

  /** Only a sealed segment can be removed when its records have been relayed, and make room. */
  function failed(error: unknown): RidgelineError {
    seal();
    return error instanceof RidgelineError ? error : writeFailed(error);
  }

  function seal(which: (one: Open) => boolean = () => true): void {
    for (const one of open.filter(which)) {
      open.splice(open.indexOf(one), 1);
      end(one);
    }
  }

  /** A segment without records goes at once: attempts may go on for hours. */
  function end({ segment, file, header: { length } }: Open): void {
    segment.seal();
    file.close();
    if (segment.writtenBytes > length) return;
    try {
      remove(segment);
    } catch {
      // The relay has it removed when the disk lets it.
    }
  }

  function remove(segment: Segment): void {
    segments.remove(segment);
    const at = open.findIndex((one) => one.segment === segment);
    if (at !== -1) open.splice(at, 1)[0]!.file.close();
  }

  return {
    append,
    probe,
    segments: segments.all,
    remove,
    owns: segments.owns,
    close() {
      seal();
      return segments.close();
    },
  };
}

function writeFailed(error: unknown): RidgelineError {
  return new RidgelineError('spool', {
    detail: `${reasonOf(error)}. ${diskAdvice(error, 'DATA_DIR')}`,
    cause: error,
  });
}
