/**
 * Reads what comes next in a segment, as the records that Postgres takes, into a scratch buffer of bounded size. Records
 * are encoded in pieces with turns of the event loop in between, so that requests are not held up (decision 0007). The
 * objects of a piece are dropped at once: kept until the COPY is done, they would reach the old generation (decision 0006).
 */
import { open } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Column } from '../../contract/contract.ts';
import { RidgelineError } from '../../errors.ts';
import { encodeRecords } from '../postgres/copy-format.ts';
import { scanFrames } from '../spool/scan-frames.ts';
import type { Segment } from '../spool/segment.ts';
import type { DeadLetter } from './dead-letters.ts';

export interface NextRecords {
  /** One after another, in memory that the next call overwrites. */
  records: Buffer;
  columns: readonly Column[];
  /** Those of the segment's header; undefined while none has been read, as it is damaged. */
  header: readonly Column[] | undefined;
  /** How many the records are. */
  rows: number;
  /** What cannot be a record: what lies between intact frames, and rows that no column can hold. */
  unreadable: Unreadable[];
  /** Bytes of the segment that are done with once all of this is stored. */
  consumed: number;
  /** When the last of the rows was answered; undefined without rows. */
  newestAt: number | undefined;
  /** Whether the file ends here, before all that was written to it. */
  isCutShort: boolean;
}

export interface Unreadable {
  what: DeadLetter;
  /** 0 for damage, whose rows are unknown. */
  rows: 0 | 1;
  reason: string;
}

export interface SpoolReader {
  /**
   * Up to `maxRows` rows, or a piece more. Leaves the segment as it is. Rejects with what the file system says, and with
   * `spool` when a later version of the service has written what comes next.
   */
  next(segment: Segment, maxRows: number): Promise<NextRecords>;
  /** Takes a new buffer, as somebody may still read what the last call gave. */
  renewMemory(): void;
}

export const MAX_ROWS = 10_000;
/** 50 rows of a dozen features. */
const PIECE_VALUES = 850;
/** Under load a dozen callers wait for each piece: decision 0007. */
const LONGEST_TURN_MS = 0.1;
/**
 * A turn ends once this many bytes have been looked at, also in damage, so it looks at twice as many at most: 128 KiB, as
 * much as counting an orphan may add to the same turn (count-segment.ts).
 */
const PIECE_BYTES = 64 * 1024;
/** Room for MAX_ROWS rows and more than one frame. */
const READ_BYTES = 4 * 1024 * 1024;
/** Room for MAX_ROWS records of a dozen features. Fewer wider ones are read; a piece too wide gets its own memory. */
const RECORDS_BYTES = 3 * 1024 * 1024;

/** `assumedColumns` are those of the records of a segment whose header is damaged. */
export function createSpoolReader(assumedColumns: readonly Column[]): SpoolReader {
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
  function addPiece(next: NextRecords, bytes: Buffer, maxRows: number, isWhole: boolean): boolean {
    const rows = Math.min(Math.ceil(PIECE_VALUES / next.columns.length), maxRows - next.rows);
    const piece = scanPiece(bytes.subarray(next.consumed), rows, isWhole);
    if (piece.later && piece.consumed === 0 && next.consumed === 0) throw ofLaterVersion();
    const header = piece.columns ?? next.header;
    // What the slots of texts are cannot be assumed.
    const columns = header ?? (piece.batches.some(({ textOf }) => textOf) ? [] : assumedColumns);
    // Records of other columns go into another COPY.
    if (columns !== next.columns && next.rows > 0) return false;
    const used = next.records.length;
    const unfit: Unreadable[] = [];
    const records = encodeRecords(piece.batches, columns, scratch.subarray(used), ({ record, reason }) =>
      unfit.push({ what: { record }, rows: 1, reason }),
    );
    const isInScratch = records.buffer === scratch.buffer;
    if (!isInScratch && used > 0) return false;
    next.records = isInScratch ? scratch.subarray(0, used + records.length) : records;
    next.columns = columns;
    next.header = header;
    next.rows += piece.rows - unfit.length;
    for (const damaged of piece.damaged) addDamage(next.unreadable, damaged);
    next.unreadable.push(...unfit);
    next.consumed += piece.consumed;
    const newestAt = piece.batches.at(-1)?.createdAt;
    if (Number.isFinite(newestAt)) next.newestAt = newestAt;
    return isInScratch && piece.consumed > 0;
  }

  return {
    async next(segment, maxRows) {
      // Before the file is read: what is written meanwhile comes next time.
      const available = segment.writtenBytes - segment.relayedBytes;
      const wanted = Math.min(READ_BYTES, available);
      const bytes = await readBytes(segment, wanted);
      const endsEarly = bytes.length < wanted;
      const isWhole = endsEarly || wanted === available;
      const next: NextRecords = {
        records: scratch.subarray(0, 0),
        columns: segment.columns ?? assumedColumns,
        header: segment.columns,
        rows: 0,
        unreadable: [],
        consumed: 0,
        newestAt: undefined,
        isCutShort: false,
      };
      let turnEndsAt = performance.now() + LONGEST_TURN_MS;
      let turnBegins = 0;
      while (next.rows < maxRows && addPiece(next, bytes, maxRows, isWhole)) {
        if (performance.now() < turnEndsAt && next.consumed - turnBegins < PIECE_BYTES) continue;
        await nextTurn();
        turnEndsAt = performance.now() + LONGEST_TURN_MS;
        turnBegins = next.consumed;
      }
      next.isCutShort = endsEarly && next.consumed === bytes.length;
      return next;
    },
    renewMemory() {
      scratch = Buffer.allocUnsafe(RECORDS_BYTES);
    },
  };
}

function ofLaterVersion(): RidgelineError {
  return new RidgelineError('spool', {
    detail: 'A later version of Ridgeline has written there, and what it wrote waits: start that version again.',
  });
}

/** The first piece of the bytes; what lies behind it is not looked at. */
function scanPiece(bytes: Buffer, maxRows: number, isWhole: boolean) {
  const first = bytes.subarray(0, PIECE_BYTES);
  const isAll = first.length === bytes.length;
  const piece = scanFrames(first, { maxRows, isWhole: isWhole && isAll });
  // A frame that is longer than a piece is one row of thousands of columns, or of long texts.
  return piece.consumed > 0 || piece.later || isAll ? piece : scanFrames(bytes, { maxRows, isWhole });
}

/** Damage that goes on from piece to piece is set aside as one, as each dead letter costs a sync of the disk. */
function addDamage(unreadable: Unreadable[], bytes: Buffer): void {
  const last = unreadable.at(-1)?.what;
  if (last && 'bytes' in last && last.bytes.byteOffset + last.bytes.length === bytes.byteOffset) {
    last.bytes = Buffer.from(bytes.buffer, last.bytes.byteOffset, last.bytes.length + bytes.length);
  } else unreadable.push({ what: { bytes }, rows: 0, reason: 'the checksum does not fit' });
}
