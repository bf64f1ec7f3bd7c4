/**
 * The format of a spool's files. Every line is `<CRC-32 of the rest, 8 hexadecimal digits> <rest>`: the first line names
 * the columns, every other one is a record in COPY text. A line is intact or it is not, whatever surrounds it: after
 * damage a reader goes on at the next line end.
 */
import { crc32 } from 'node:zlib';

/** Characters before the record: the checksum and one space. */
const PREFIX_LENGTH = 9;
const LINE_FEED = 10;
const HEX_DIGITS = Buffer.from('0123456789abcdef', 'latin1');
const HEADER = 'ridgeline-spool 1 ';

const NO_CHECKSUM = '00000000 ';

/** The bytes of lines, each with its checksum before it and a line end behind it. Lines are ASCII without line ends. */
export function sealLines(lines: readonly string[]): Buffer {
  const bytes = Buffer.from(`${NO_CHECKSUM}${lines.join(`\n${NO_CHECKSUM}`)}\n`, 'latin1');
  let start = 0;
  for (const line of lines) {
    const end = start + PREFIX_LENGTH + line.length;
    // Over bytes of the one buffer: a string for each line would be flattened and encoded once more.
    writeChecksum(bytes, start, crc32(bytes.subarray(start + PREFIX_LENGTH, end)));
    start = end + 1;
  }
  return bytes;
}

export function sealHeader(columns: readonly string[]): Buffer {
  return sealLines([HEADER + columns.join(',')]);
}

/** What a stretch of a segment holds. */
export interface Stretch {
  /** The intact records, each with its line end. */
  records: Buffer[];
  /** Lines whose checksum does not fit. */
  damaged: Buffer[];
  /** The columns, when the stretch begins with an intact header. */
  columns: string[] | undefined;
  /** Bytes up to the end of the last whole line; the rest has no line end yet. */
  consumed: number;
}

/** Takes apart the whole lines in `bytes`, at most `maxRecords` of them. The buffers are views, not copies. */
export function readStretch(bytes: Buffer, maxRecords: number): Stretch {
  const stretch: Stretch = { records: [], damaged: [], columns: undefined, consumed: 0 };
  while (stretch.records.length + stretch.damaged.length < maxRecords) {
    const end = bytes.indexOf(LINE_FEED, stretch.consumed);
    if (end === -1) break;
    const line = bytes.subarray(stretch.consumed, end + 1);
    const text = line.subarray(PREFIX_LENGTH, -1);
    const intact = line.length > PREFIX_LENGTH && crc32(text) === readChecksum(line);
    if (!intact) stretch.damaged.push(line);
    else if (isHeader(text)) stretch.columns = text.toString('latin1').slice(HEADER.length).split(',');
    else stretch.records.push(line.subarray(PREFIX_LENGTH));
    stretch.consumed = end + 1;
  }
  return stretch;
}

function writeChecksum(bytes: Buffer, start: number, checksum: number): void {
  for (let i = start + PREFIX_LENGTH - 2, rest = checksum; i >= start; i--, rest >>>= 4)
    bytes[i] = HEX_DIGITS[rest & 15]!;
}

/** Record ids are hexadecimal, so a record never looks like the header. */
function isHeader(text: Buffer): boolean {
  return text[0] === HEADER.charCodeAt(0) && text.toString('latin1', 0, HEADER.length) === HEADER;
}

function readChecksum(line: Buffer): number {
  let value = 0;
  for (let i = 0; i < PREFIX_LENGTH - 1; i++) {
    const code = line[i]!;
    const digit = code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 102 ? code - 87 : Number.NaN;
    value = value * 16 + digit;
  }
  return line[PREFIX_LENGTH - 1] === 32 ? value : Number.NaN;
}
