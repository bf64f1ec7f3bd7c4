/** What is read of a segment: its frames, and what lies between them. */
import type { Column } from '../../contract/contract.ts';
import type { BatchBlocks } from '../prediction-batch.ts';
import { areOfRecord } from '../record-columns.ts';
import { endOfFrame, kindAt, MAGIC, PREFIX_BYTES, rowsOfFrame } from './frames.ts';
import { unpack } from './packed-batch.ts';
import { unpackTexts } from './packed-texts.ts';

/** What the scanned bytes hold, as views of them. */
export interface FrameScan {
  batches: BatchBlocks[];
  /** Rows of the batches. */
  rows: number;
  /** What lies between intact frames. */
  damaged: Buffer[];
  /** Whether the last thing that was read is damaged. */
  endsDamaged: boolean;
  /** The columns of the batches, when an intact header is before them. */
  columns: Column[] | undefined;
  /** The next frame, when a later version has written it: nothing can be read beyond it. */
  later: Buffer | undefined;
  /**
   * Bytes that are done with. What is left is the beginning of a frame, begins with another header or with a frame of a later
   * version, or is more than `maxRows`.
   */
  consumed: number;
}

export interface ScanOptions {
  /** Reads no further once it has so many rows. */
  maxRows: number;
  /** Whether nothing follows these bytes: then a frame that ends beyond them is damaged. */
  isWhole: boolean;
}

/** Takes apart the bytes of a segment, from the beginning of a frame on. What it returns has the columns of one header. */
export function scanFrames(bytes: Buffer, { maxRows, isWhole }: ScanOptions): FrameScan {
  const scan: FrameScan = {
    batches: [],
    rows: 0,
    damaged: [],
    endsDamaged: false,
    columns: undefined,
    later: undefined,
    consumed: 0,
  };
  let at = 0;
  while (at < bytes.length && scan.rows < maxRows) {
    const frame = frameAt(bytes, at);
    if (frame === 'unfinished' && !isWhole) break;
    scan.endsDamaged = typeof frame === 'string';
    if (typeof frame === 'string') {
      const next = nextFrame(bytes, at + 1, isWhole);
      scan.damaged.push(bytes.subarray(at, next));
      at = next;
      continue;
    }
    if (frame.isLater) scan.later = bytes.subarray(at, frame.end);
    if (frame.isLater || (frame.columns && (scan.columns || scan.rows > 0))) break;
    if (frame.columns) scan.columns = frame.columns;
    if (frame.batch) scan.batches.push(frame.batch);
    scan.rows += frame.batch?.rows ?? 0;
    at = frame.end;
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
      count.rows += rowsOfFrame(bytes, at, after);
      count.frames++;
      count.intactTo = after;
      count.consumed = after;
    } else {
      count.consumed = nextFrame(bytes, at + 1, isWhole);
    }
  }
  return count;
}

type Frame = { batch?: BatchBlocks; columns?: Column[]; isLater?: true; end: number } | 'damaged' | 'unfinished';

function frameAt(bytes: Buffer, at: number): Frame {
  const end = endOfFrame(bytes, at);
  if (typeof end === 'string') return end;
  const payload = bytes.subarray(at + PREFIX_BYTES, end);
  switch (kindAt(bytes, at)) {
    case 'header': {
      const columns = readColumns(payload);
      if (!columns) return 'damaged';
      return areOfRecord(columns) ? { columns, end } : { isLater: true, end };
    }
    case 'numbers': {
      const batch = unpack(payload);
      return batch ? { batch, end } : 'damaged';
    }
    case 'texts': {
      const batch = unpackTexts(payload);
      if (batch === 'later') return { isLater: true, end };
      return batch ? { batch, end } : 'damaged';
    }
    default:
      return { isLater: true, end };
  }
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
