/** What the spool writes: batches and headers as frames. */
import type { Column } from '../../contract/contract.ts';
import { type PredictionBatch, widthOf } from '../prediction-batch.ts';
import { endByLength, FRAME_BYTES, LONGEST_PAYLOAD, PREFIX_BYTES, putPrefix, rowsOfFrame } from './frames.ts';
import { packedSize, packInto, rowSize } from './packed-batch.ts';
import { packTextsInto, partsOf } from './packed-texts.ts';

/**
 * The frames of a batch, small ones of at most `mostBytes` unless a single record is longer; in `scratch`, which the next
 * call overwrites, when they have room there.
 */
export function frameBatch(batch: PredictionBatch, scratch: Buffer, mostBytes = FRAME_BYTES): Buffer {
  if (batch.predictions.length === 0) return scratch.subarray(0, 0);
  const frame = batch.contract.isPlain ? frameNumbers : frameTexts;
  return frame(batch, scratch, Math.min(FRAME_BYTES, mostBytes) - PREFIX_BYTES);
}

function frameNumbers(batch: PredictionBatch, scratch: Buffer, mostBytes: number): Buffer {
  const rows = batch.predictions.length;
  const aroundRows = packedSize(batch, 0);
  const bytesOfRow = rowSize(widthOf(batch));
  const rowsOfFrame = Math.max(1, Math.floor((mostBytes - aroundRows) / bytesOfRow));
  const frames = memoryFor(Math.ceil(rows / rowsOfFrame) * (PREFIX_BYTES + aroundRows) + rows * bytesOfRow, scratch);
  for (let row = 0, at = 0; row < rows; row += rowsOfFrame) {
    const after = Math.min(rows, row + rowsOfFrame);
    packInto(frames, at + PREFIX_BYTES, batch, row, after);
    at = putPrefix('numbers', frames, at, aroundRows + (after - row) * bytesOfRow);
  }
  return frames;
}

function frameTexts(batch: PredictionBatch, scratch: Buffer, mostBytes: number): Buffer {
  const parts = partsOf(batch, mostBytes);
  const tooLong = parts.find(({ size }) => size > LONGEST_PAYLOAD);
  if (tooLong) throw new RangeError(`A record of ${tooLong.size} bytes is longer than a frame can be.`);
  const frames = memoryFor(
    parts.reduce((sum, { size }) => sum + PREFIX_BYTES + size, 0),
    scratch,
  );
  let at = 0;
  for (const part of parts) {
    packTextsInto(frames, at + PREFIX_BYTES, batch, part);
    at = putPrefix('texts', frames, at, part.size);
  }
  return frames;
}

function memoryFor(size: number, scratch: Buffer): Buffer {
  return size <= scratch.length ? scratch.subarray(0, size) : Buffer.allocUnsafe(size);
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
    const next = endByLength(bytes, end);
    if (next > start + room && !(atLeastOne && end === start)) break;
    rows += rowsOfFrame(bytes, end, next);
    end = next;
  }
  return { end, rows };
}

/** The first frame of a segment: the columns that its records go into. */
export function frameHeader(columns: readonly Column[]): Buffer {
  const payload = JSON.stringify(columns);
  const frame = Buffer.alloc(PREFIX_BYTES + Buffer.byteLength(payload));
  frame.write(payload, PREFIX_BYTES);
  putPrefix('header', frame, 0, frame.length - PREFIX_BYTES);
  return frame;
}
