/**
 * Reads what comes next in a segment, as the records that Postgres takes, in bounded memory that is used again and
 * without holding requests up: ten thousand rows that were answered one by one take 7 ms, so they are made in pieces with
 * the event loop let through between them. What a piece was read into is let go of at once: kept until it is stored,
 * thousands of objects would grow old with every COPY and call for full garbage collections.
 */
import { open } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Column } from '../../feature-schema.ts';
import { encodeRecords } from '../postgres/copy-format.ts';
import { scanFrames } from '../spool/frames.ts';
import type { Segment } from '../spool/segment.ts';

export interface NextRecords {
  /** One after another, in memory that the next call overwrites. */
  records: Buffer;
  columns: readonly Column[];
  rows: number;
  /** What lies between intact frames. */
  damaged: Buffer[];
  /** Bytes of the segment that are done with once all of this is stored. */
  consumed: number;
  /** When the last of the rows was answered; undefined without rows. */
  newestAt: number | undefined;
}

export interface SpoolReader {
  /** Up to MAX_ROWS rows, or a piece more. Leaves the segment as it is. */
  next(segment: Segment): Promise<NextRecords>;
  /** Takes new memory, where somebody may still read what the last call gave. */
  renewMemory(): void;
}

export const MAX_ROWS = 10_000;
const PIECE_ROWS = 50;
/** As long as five requests: under load a dozen callers wait for each piece. */
const LONGEST_TURN_MS = 0.1;
/** Room for MAX_ROWS rows and more than one frame. */
const READ_BYTES = 4 * 1024 * 1024;
/** Room for MAX_ROWS records of a dozen features. Of wider ones fewer are read, and a piece too wide gets memory of its own. */
const RECORDS_BYTES = 3 * 1024 * 1024;

export function createSpoolReader(): SpoolReader {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  let scratch = Buffer.allocUnsafe(RECORDS_BYTES);

  /** Fewer bytes than `length` where the file ends. */
  async function readBytes({ path, relayedBytes }: Segment, length: number): Promise<Buffer> {
    const file = await open(path, 'r');
    try {
      const { bytesRead } = await file.read(buffer, 0, length, relayedBytes);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  /** False when nothing more can be read, or has room. */
  function addPiece(next: NextRecords, bytes: Buffer, isWhole: boolean): boolean {
    const piece = scanFrames(bytes.subarray(next.consumed), { maxRows: PIECE_ROWS, isWhole });
    const columns = piece.columns ?? next.columns;
    const used = next.records.length;
    const records = encodeRecords(piece.batches, columns, scratch.subarray(used));
    const isInScratch = records.buffer === scratch.buffer;
    if (!isInScratch && used > 0) return false;
    next.records = isInScratch ? scratch.subarray(0, used + records.length) : records;
    next.columns = columns;
    next.rows += piece.rows;
    next.damaged.push(...piece.damaged);
    next.consumed += piece.consumed;
    next.newestAt = piece.batches.at(-1)?.createdAt ?? next.newestAt;
    return isInScratch && piece.consumed > 0;
  }

  return {
    async next(segment) {
      // Before the file is read: what is written meanwhile comes next time.
      const available = segment.writtenBytes - segment.relayedBytes;
      const bytes = await readBytes(segment, Math.min(READ_BYTES, available));
      const isWhole = bytes.length === available || bytes.length < READ_BYTES;
      const next: NextRecords = {
        records: scratch.subarray(0, 0),
        columns: segment.columns,
        rows: 0,
        damaged: [],
        consumed: 0,
        newestAt: undefined,
      };
      let turnEndsAt = performance.now() + LONGEST_TURN_MS;
      while (next.rows < MAX_ROWS && addPiece(next, bytes, isWhole)) {
        if (performance.now() < turnEndsAt) continue;
        await nextTurn();
        turnEndsAt = performance.now() + LONGEST_TURN_MS;
      }
      // The file was cut short: what was there is lost, and must not be looked for for ever.
      if (bytes.length === 0) next.consumed = available;
      return next;
    },
    renewMemory() {
      scratch = Buffer.allocUnsafe(RECORDS_BYTES);
    },
  };
}
