/**
 * The format of a spool's files, the segments: frames, one after another, as many as fit.
 *
 *     0        4        8        12
 *     +--------+--------+--------+---------------------+
 *     | "RSP1" | CRC-32 | length | payload             |   a batch of predictions (packed-batch.ts)
 *     +--------+--------+--------+---------------------+
 *     | "RSPH" | CRC-32 | length | payload             |   the header of a segment: its columns, as JSON
 *     +--------+--------+--------+---------------------+
 *
 * The numbers have 32 bits, big-endian; the checksum covers the length and the payload. A frame is intact or it is not,
 * whatever surrounds it: after damage a reader goes on at the next intact one. Large batches are cut into small frames,
 * so that damage costs few records.
 */
import { crc32 } from 'node:zlib';
import type { Column } from '../../contract/contract.ts';
import { type BatchBlocks, type PredictionBatch, widthOf } from '../prediction-batch.ts';
import { packedSize, packInto, rowSize, rowsOf, unpack } from './packed-batch.ts';

const BATCH = Buffer.from('RSP1', 'latin1');
const HEADER = Buffer.from('RSPH', 'latin1');
/** The beginning of both marks. */
const MAGIC = Buffer.from('RSP', 'latin1');
const CRC_AT = 4;
const LENGTH_AT = 8;
const PREFIX_BYTES = 12;
/** Some 120 records of a dozen features. A single longer record has a frame of its own. */
export const FRAME_BYTES = 16 * 1024;
/** A longer payload was never written, so its length is damaged: the widest table of Postgres has 1,600 columns. */
const LONGEST_PAYLOAD = 1024 * 1024;
/** Upper bound of the size of one frame. */
export const LONGEST_FRAME = PREFIX_BYTES + LONGEST_PAYLOAD;

/**
 * The frames of a batch, of at most `frameBytes` unless a single record is longer; in `scratch`, which the next call
 * overwrites, when they have room there.
 */
export function frameBatch(batch: PredictionBatch, scratch: Buffer, frameBytes = FRAME_BYTES): Buffer {
  const rows = batch.predictions.length;
  if (rows === 0) return scratch.subarray(0, 0);
  const aroundRows = packedSize(batch, 0);
  const bytesOfRow = rowSize(widthOf(batch));
  const rowsOfFrame = Math.max(1, Math.floor((frameBytes - PREFIX_BYTES - aroundRows) / bytesOfRow));
  const size = Math.ceil(rows / rowsOfFrame) * (PREFIX_BYTES + aroundRows) + rows * bytesOfRow;
  const frames = size <= scratch.length ? scratch.subarray(0, size) : Buffer.allocUnsafe(size);
  for (let row = 0, at = 0; row < rows; row += rowsOfFrame) {
    const after = Math.min(rows, row + rowsOfFrame);
    packInto(frames, at + PREFIX_BYTES, batch, row, after);
    at = putPrefix(BATCH, frames, at, aroundRows + (after - row) * bytesOfRow);
  }
  return frames;
}

/**
 * How far the frames of `frameBatch` that begin at `start` fit into `room` bytes, and how many rows those have. Unless
 * `atLeastOne`, that may be none.
 */
export function fitFrames(
  bytes: Buffer,
  start: number,
  room: number,
  atLeastOne: boolean,
): { end: number; rows: number } {
  let end = start;
  let rows = 0;
  while (end < bytes.length) {
    const next = end + PREFIX_BYTES + bytes.readUInt32BE(end + LENGTH_AT);
    if (next > start + room && !(atLeastOne && end === start)) break;
    rows += rowsOf(bytes, end + PREFIX_BYTES, next);
    end = next;
  }
  return { end, rows };
}

/** The first frame of a segment: the columns that its records go into. */
export function frameHeader(columns: readonly Column[]): Buffer {
  const payload = JSON.stringify(columns);
  const frame = Buffer.alloc(PREFIX_BYTES + Buffer.byteLength(payload));
  frame.write(payload, PREFIX_BYTES);
  putPrefix(HEADER, frame, 0, frame.length - PREFIX_BYTES);
  return frame;
}

/** Writes the prefix before a payload that is in its place, and returns where the next frame begins. */
function putPrefix(kind: Buffer, bytes: Buffer, at: number, length: number): number {
  const end = at + PREFIX_BYTES + length;
  bytes.set(kind, at);
  bytes.writeUInt32BE(length, at + LENGTH_AT);
  bytes.writeUInt32BE(crc32(bytes.subarray(at + LENGTH_AT, end)), at + CRC_AT);
  return end;
}

/** What the scanned bytes hold, as views of them. */
export interface FrameScan {
  batches: BatchBlocks[];
  /** Rows of the batches. */
  rows: number;
  /** What lies between intact frames. */
  damaged: Buffer[];
  /** Whether the last thing that was read is damaged. */
  endsDamaged: boolean;
  /** The columns, when an intact header is among the frames. */
  columns: Column[] | undefined;
  /** Bytes that are done with. What is left is the beginning of a frame, or more than `maxRows`. */
  consumed: number;
}

export interface ScanOptions {
  /** Reads no further once it has so many rows. */
  maxRows: number;
  /** Whether nothing follows these bytes: then a frame that ends beyond them is damaged. */
  isWhole: boolean;
}

/** Takes apart the bytes of a segment, from the beginning of a frame on. */
export function scanFrames(bytes: Buffer, { maxRows, isWhole }: ScanOptions): FrameScan {
  const scan: FrameScan = { batches: [], rows: 0, damaged: [], endsDamaged: false, columns: undefined, consumed: 0 };
  let at = 0;
  while (at < bytes.length && scan.rows < maxRows) {
    const frame = frameAt(bytes, at);
    if (frame === 'unfinished' && !isWhole) break;
    scan.endsDamaged = typeof frame === 'string';
    if (typeof frame === 'object') {
      if (frame.columns) scan.columns = frame.columns;
      if (frame.batch) scan.batches.push(frame.batch);
      scan.rows += frame.batch?.rows ?? 0;
      at = frame.end;
    } else {
      const next = nextFrame(bytes, at + 1, isWhole);
      scan.damaged.push(bytes.subarray(at, next));
      at = next;
    }
  }
  scan.consumed = at;
  return scan;
}

/** What the counted bytes hold. */
export interface FrameCount {
  rows: number;
  /** Intact frames, headers too. */
  frames: number;
  /** Bytes that are done with. What is left is the beginning of a frame, or lies beyond `until`. */
  consumed: number;
  /** Where the last intact frame ends; what follows of the bytes that are done with is damaged. */
  intactTo: number;
}

export interface CountOptions {
  /** Looks at no frame that begins here or later. */
  until: number;
  /** Whether nothing follows these bytes: then a frame that ends beyond them is damaged. */
  isWhole: boolean;
}

/** Counts what `scanFrames` would find, without an object for each frame: a window of short ones has thousands. */
export function countFrames(bytes: Buffer, { until, isWhole }: CountOptions): FrameCount {
  const count: FrameCount = { rows: 0, frames: 0, consumed: 0, intactTo: 0 };
  const end = Math.min(until, bytes.length);
  while (count.consumed < end) {
    const at = count.consumed;
    const after = endOfFrame(bytes, at);
    if (after === 'unfinished' && !isWhole) break;
    if (typeof after === 'number') {
      if (!isOfKind(HEADER, bytes, at)) count.rows += rowsOf(bytes, at + PREFIX_BYTES, after);
      count.frames++;
      count.intactTo = after;
      count.consumed = after;
    } else {
      count.consumed = nextFrame(bytes, at + 1, isWhole);
    }
  }
  return count;
}

type Frame = { batch?: BatchBlocks; columns?: Column[]; end: number } | 'damaged' | 'unfinished';

function frameAt(bytes: Buffer, at: number): Frame {
  const end = endOfFrame(bytes, at);
  if (typeof end === 'string') return end;
  const payload = bytes.subarray(at + PREFIX_BYTES, end);
  if (isOfKind(HEADER, bytes, at)) {
    const columns = readColumns(payload);
    return columns ? { columns, end } : 'damaged';
  }
  const batch = unpack(payload);
  return batch ? { batch, end } : 'damaged';
}

/** Where the frame ends whose checksum fits. */
function endOfFrame(bytes: Buffer, at: number): number | 'damaged' | 'unfinished' {
  const left = bytes.length - at;
  const known = Math.min(left, MAGIC.length);
  if (bytes.compare(MAGIC, 0, known, at, at + known) !== 0) return 'damaged';
  if (left < PREFIX_BYTES) return 'unfinished';
  const length = bytes.readUInt32BE(at + LENGTH_AT);
  if (length > LONGEST_PAYLOAD) return 'damaged';
  const end = at + PREFIX_BYTES + length;
  if (end > bytes.length) return 'unfinished';
  // Checked before the checksum: garbage full of marks would cost a checksum of everything behind each of them.
  const canBe = isOfKind(HEADER, bytes, at) || rowsOf(bytes, at + PREFIX_BYTES, end) > 0;
  if (!canBe) return 'damaged';
  return crc32(bytes.subarray(at + LENGTH_AT, end)) === bytes.readUInt32BE(at + CRC_AT) ? end : 'damaged';
}

function isOfKind(kind: Buffer, bytes: Buffer, at: number): boolean {
  return bytes.compare(kind, 0, kind.length, at, at + kind.length) === 0;
}

/** Undefined for what has a checksum that fits and is no header all the same. */
function readColumns(payload: Buffer): Column[] | undefined {
  try {
    const columns: unknown = JSON.parse(payload.toString('utf8'));
    return Array.isArray(columns) && columns.every(isColumn) ? columns : undefined;
  } catch {
    return undefined;
  }
}

function isColumn(value: unknown): value is Column {
  const column = value as Partial<Column> | null;
  return typeof column?.name === 'string' && typeof column.type === 'string';
}

/** Where the next intact frame begins, or one that may become intact; the end of the bytes when there is none. */
function nextFrame(bytes: Buffer, from: number, isWhole: boolean): number {
  for (let at = nextMagic(bytes, from); at < bytes.length; at = nextMagic(bytes, at + 1)) {
    const end = endOfFrame(bytes, at);
    if (typeof end === 'number' || (end === 'unfinished' && !isWhole)) return at;
  }
  return bytes.length;
}

/** Where the mark of a frame begins, of which the end may be cut off; the end of the bytes when there is none. */
function nextMagic(bytes: Buffer, from: number): number {
  const found = bytes.indexOf(MAGIC, from);
  if (found !== -1) return found;
  let at = Math.max(from, bytes.length - MAGIC.length + 1);
  while (at < bytes.length && bytes.compare(MAGIC, 0, bytes.length - at, at) !== 0) at++;
  return at;
}
