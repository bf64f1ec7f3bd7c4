/**
 * The format of a spool's files, the segments: frames, one after another, as many as fit.
 *
 *     0        4        8        12
 *     +--------+--------+--------+---------------------+
 *     | "RSPH" | CRC-32 | length | payload             |   the header of a segment: its columns, as JSON
 *     +--------+--------+--------+---------------------+
 *     | "RSP1" | CRC-32 | length | payload             |   a batch of numbers (packed-batch.ts)
 *     +--------+--------+--------+---------------------+
 *     | "RSP2" | CRC-32 | length | payload             |   a batch with texts or nulls (packed-texts.ts)
 *     +--------+--------+--------+---------------------+
 *     | "RSP3" … "RSP9"                                |   what later versions may add: it is left to them
 *     +------------------------------------------------+
 *
 * The numbers have 32 bits, big-endian. The checksum covers the length and the payload; from RSP2 on the mark as well, so
 * that a frame of a later version cannot be taken for a damaged one. A frame is intact or it is not, whatever surrounds it:
 * after damage a reader goes on at the next intact one. Large batches are cut into small frames, so that damage costs few
 * records.
 */
import { crc32 } from 'node:zlib';
import { rowsOf } from './packed-batch.ts';
import { rowsWithTexts } from './packed-texts.ts';

export type FrameKind = 'header' | 'numbers' | 'texts' | 'later';

/** The beginning of all marks. */
export const MAGIC = Buffer.from('RSP', 'latin1');
const MARKS = {
  header: Buffer.from('RSPH', 'latin1'),
  numbers: Buffer.from('RSP1', 'latin1'),
  texts: Buffer.from('RSP2', 'latin1'),
};
/** What the marks of later versions end in. */
const FIRST_LATER = '3'.charCodeAt(0);
const LAST_LATER = '9'.charCodeAt(0);

const CRC_AT = 4;
const LENGTH_AT = 8;
export const PREFIX_BYTES = 12;
/** Some 120 records of a dozen features. A single longer record has a frame of its own. */
export const FRAME_BYTES = 16 * 1024;
/** A longer payload was never written, so its length is damaged. */
export const LONGEST_PAYLOAD = 1024 * 1024;
/** Upper bound of the size of one frame. */
export const LONGEST_FRAME = PREFIX_BYTES + LONGEST_PAYLOAD;

/** Writes the prefix before a payload that is in its place, and returns where the next frame begins. */
export function putPrefix(kind: keyof typeof MARKS, bytes: Buffer, at: number, length: number): number {
  const end = at + PREFIX_BYTES + length;
  bytes.set(MARKS[kind], at);
  bytes.writeUInt32BE(length, at + LENGTH_AT);
  bytes.writeUInt32BE(checksum(kind, bytes, at, end), at + CRC_AT);
  return end;
}

function checksum(kind: FrameKind, bytes: Buffer, at: number, end: number): number {
  const covered = bytes.subarray(at + LENGTH_AT, end);
  if (kind === 'header' || kind === 'numbers') return crc32(covered);
  return crc32(covered, crc32(bytes.subarray(at, at + CRC_AT)));
}

/** Undefined when the mark is none. */
export function kindAt(bytes: Buffer, at: number): FrameKind | undefined {
  const ending = bytes[at + MAGIC.length]!;
  if (ending === MARKS.numbers[MAGIC.length]) return 'numbers';
  if (ending === MARKS.texts[MAGIC.length]) return 'texts';
  if (ending === MARKS.header[MAGIC.length]) return 'header';
  return ending >= FIRST_LATER && ending <= LAST_LATER ? 'later' : undefined;
}

/** Where the frame at `at` ends, by its length. */
export function endByLength(bytes: Buffer, at: number): number {
  return at + PREFIX_BYTES + bytes.readUInt32BE(at + LENGTH_AT);
}

/** Where the frame at `at` ends whose checksum fits. */
export function endOfFrame(bytes: Buffer, at: number): number | 'damaged' | 'unfinished' {
  const left = bytes.length - at;
  const known = Math.min(left, MAGIC.length);
  if (bytes.compare(MAGIC, 0, known, at, at + known) !== 0) return 'damaged';
  if (left < PREFIX_BYTES) return 'unfinished';
  const kind = kindAt(bytes, at);
  const end = endByLength(bytes, at);
  if (!kind || end - at > LONGEST_FRAME) return 'damaged';
  if (end > bytes.length) return 'unfinished';
  // Checked before the checksum: garbage full of marks would cost a checksum of everything behind each of them.
  const canBe = kind === 'header' || kind === 'later' || rowsOfFrame(bytes, at, end) > 0;
  if (!canBe) return 'damaged';
  return checksum(kind, bytes, at, end) === bytes.readUInt32BE(at + CRC_AT) ? end : 'damaged';
}

/** The rows of the frame between `at` and `end`, by its lengths; 0 when it has none, or they do not add up. */
export function rowsOfFrame(bytes: Buffer, at: number, end: number): number {
  const kind = kindAt(bytes, at);
  if (kind === 'numbers') return rowsOf(bytes, at + PREFIX_BYTES, end);
  return kind === 'texts' ? rowsWithTexts(bytes, at + PREFIX_BYTES, end) : 0;
}
