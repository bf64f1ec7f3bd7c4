/** Goes through a segment that a dead process has left: how much of it is to be relayed, and whether it is a segment. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { LONGEST_FRAME } from './frames.ts';
import { countFrames } from './scan-frames.ts';

export interface SegmentCount {
  path: string;
  pendingRows: number;
  /** Without what a crash may leave at a file's end: a torn frame whose write never ended, or zeros. */
  writtenBytes: number;
  /** Of the file, in milliseconds since 1970. */
  modifiedMs: number;
  /** It holds an intact frame, which nobody else writes. */
  isProof: boolean;
}

/**
 * Read and looked at in one turn of the event loop, in which the relay may look at as much. Only a single longer record
 * takes more.
 */
const WINDOW_BYTES = 128 * 1024;
const ZEROS = Buffer.alloc(LONGEST_FRAME);
/** Without following a link or waiting for a pipe. */
const READ_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Opens it for reading. Rejects for what is not a file of its own. */
export async function openSegment(path: string): Promise<FileHandle> {
  const file = await open(path, READ_FILE);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new Error('it is not a file');
}

export async function countSegment(path: string): Promise<SegmentCount> {
  const file = await openSegment(path);
  try {
    const { size, mtimeMs } = await file.stat();
    const count = { path, pendingRows: 0, writtenBytes: 0, modifiedMs: mtimeMs, isProof: false };
    const window = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, size));
    for (let position = 0; position < size; ) {
      const { bytes, rows, frames, consumed, isTorn, end } = await countWindow(file, window, position, size - position);
      if (bytes === 0) break;
      count.pendingRows += rows;
      count.isProof ||= frames > 0;
      if (!isTorn && end > 0) count.writtenBytes = position + end;
      position += consumed;
    }
    return count;
  } finally {
    await file.close();
  }
}

async function countWindow(file: FileHandle, window: Buffer, position: number, left: number) {
  const options = { until: WINDOW_BYTES, isWhole: false };
  let bytes = await read(file, window, position, left);
  let count = countFrames(bytes, options);
  if (count.consumed === 0 && bytes.length < left) {
    bytes = await read(file, Buffer.allocUnsafe(LONGEST_FRAME), position, left);
    count = countFrames(bytes, options);
  }
  // A frame that ends beyond the file: torn, unless others follow it; then its length is damaged.
  const endsBeyond = count.consumed === 0;
  if (endsBeyond) count = countFrames(bytes, { ...options, isWhole: true });
  const { rows, frames, consumed, intactTo } = count;
  const isZeros = bytes.subarray(intactTo, consumed).equals(ZEROS.subarray(0, consumed - intactTo));
  return {
    bytes: bytes.length,
    rows,
    frames,
    consumed,
    isTorn: endsBeyond && frames === 0,
    end: isZeros ? intactTo : consumed,
  };
}

async function read(file: FileHandle, buffer: Buffer, position: number, left: number): Promise<Buffer> {
  const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, left), position);
  return buffer.subarray(0, bytesRead);
}
