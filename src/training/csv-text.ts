/**
 * A CSV file as text: UTF-8, or UTF-16 after a byte order mark, and packed with gzip or not. Errors name other kinds of
 * files, such as Parquet.
 */
import { isUtf8 } from 'node:buffer';
import { createHash, type Hash } from 'node:crypto';
import { createReadStream, type ReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { TextDecoder } from 'node:util';
import { createGunzip } from 'node:zlib';

const CHUNK_BYTES = 1024 * 1024;

const gzip = [0x1f, 0x8b];
/** What other files begin with. */
const otherKinds: [bytes: number[], kind: string][] = [
  [gzip, 'a gzip archive in another; unpack it once'],
  [[0x50, 0x4b, 0x03, 0x04], 'a zip archive or a spreadsheet; save it as CSV'],
  [[0xd0, 0xcf, 0x11, 0xe0], 'a spreadsheet; save it as CSV'],
  [[0x50, 0x41, 0x52, 0x31], 'a Parquet file; save it as CSV'],
  [[0x42, 0x5a, 0x68], 'a bzip2 archive; unpack it'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'a Zstandard archive; unpack it'],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a], 'an xz archive; unpack it'],
];
const byteOrderMarks: [bytes: number[], encoding: string][] = [
  [[0xff, 0xfe], 'utf-16le'],
  [[0xfe, 0xff], 'utf-16be'],
];

/** A file as it is when the reading begins. */
export interface CsvFile {
  path: string;
  size: number;
  mtimeMs: number;
}

/** Rejects for a pipe or a device, whose end may never come. */
export async function openCsv(path: string): Promise<CsvFile> {
  const found = await stat(path);
  if (!found.isFile() && !found.isDirectory()) throw new Error('it is a pipe or a device; write the rows to a file');
  return { path, size: found.size, mtimeMs: found.mtimeMs };
}

/**
 * The text without its byte order mark, in pieces. `hash` is given the bytes of the file as they are. Rejects for what is not
 * text, and for a file that has been written to since it was opened: its last number may be cut.
 */
export async function* textOf({ path, size, mtimeMs }: CsvFile, hash = createHash('sha256')): AsyncGenerator<string> {
  if (size > 0) {
    const isPacked = beginsWith(await beginningOf(path), gzip);
    const file = createReadStream(path, { highWaterMark: CHUNK_BYTES, end: size - 1 });
    try {
      const bytes = hashed(file, hash);
      yield* decoded(isPacked ? unpacked(bytes) : bytes);
    } finally {
      file.destroy();
    }
  }
  const now = await stat(path);
  if (now.size !== size || now.mtimeMs !== mtimeMs) {
    throw new Error('it has changed while it was read; begin again when it is whole');
  }
}

async function beginningOf(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    return (await file.read(new Uint8Array(gzip.length), 0, gzip.length, 0)).buffer;
  } finally {
    await file.close();
  }
}

const beginsWith = (bytes: Uint8Array, beginning: readonly number[]) => beginning.every((byte, i) => bytes[i] === byte);

async function* hashed(file: ReadStream, hash: Hash): AsyncGenerator<Buffer> {
  for await (const chunk of file as AsyncIterable<Buffer>) {
    hash.update(chunk);
    yield chunk;
  }
}

async function* unpacked(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  try {
    // An error of the pipeline is met where its end is read.
    yield* pipeline(bytes, gunzip, () => undefined) as AsyncIterable<Buffer>;
  } catch (error) {
    if (!(error as NodeJS.ErrnoException).code?.startsWith('Z_')) throw error;
    throw new Error(`it is a damaged gzip archive (${(error as Error).message}); pack or copy it again`);
  }
}

async function* decoded(bytes: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let decoder: TextDecoder | undefined;
  let lines = 1;
  for await (const chunk of bytes) {
    decoder ??= decoderFor(chunk);
    const text = decode(decoder, chunk, lines);
    if (text) yield text;
    lines += countLineFeeds(chunk);
  }
  // Throws where the last character is cut.
  if (decoder) decode(decoder, undefined, lines);
}

function decoderFor(beginning: Buffer): TextDecoder {
  const other = otherKinds.find(([bytes]) => beginsWith(beginning, bytes));
  if (other) throw new Error(`it is ${other[1]}`);
  const [, encoding] = byteOrderMarks.find(([bytes]) => beginsWith(beginning, bytes)) ?? [[], 'utf-8'];
  return new TextDecoder(encoding, { fatal: true });
}

/** Without a chunk, what is left of the last one. */
function decode(decoder: TextDecoder, chunk: Buffer | undefined, line: number): string {
  let text: string;
  try {
    text = decoder.decode(chunk, { stream: chunk !== undefined });
  } catch (error) {
    if (decoder.encoding !== 'utf-8') {
      throw new Error('it begins as UTF-16 and does not go on so; save it as UTF-8', { cause: error });
    }
    const place = chunk ? lineOfFault(chunk, line) : line;
    throw new Error(
      `line ${place} is not UTF-8, perhaps Latin-1; save the file as UTF-8, or: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW`,
      { cause: error },
    );
  }
  if (text.includes('\0')) throw new Error('it holds a NUL, so it is not text; save it as CSV in UTF-8');
  return text;
}

/** The line of the first character that is not UTF-8, in a chunk that begins in the given line. */
function lineOfFault(chunk: Buffer, first: number): number {
  let line = first;
  let start = 0;
  // The chunk before may have the beginning of a character whose other bytes, three at most, are here.
  while (first > 1 && start < 3 && (chunk[start]! & 0b1100_0000) === 0b1000_0000) start++;
  for (;;) {
    const end = chunk.indexOf('\n', start);
    if (end === -1 || !isUtf8(chunk.subarray(start, end))) return line;
    start = end + 1;
    line++;
  }
}

function countLineFeeds(chunk: Buffer): number {
  let count = 0;
  for (let at = chunk.indexOf('\n'); at !== -1; at = chunk.indexOf('\n', at + 1)) count++;
  return count;
}
