/**
 * A CSV file as records (RFC 4180): fields between commas, in quotes where need be, and both kinds of line ends, also
 * mixed, as they come about when rows are appended on another system. Errors name other kinds of files, such as gzip.
 */
import { createReadStream, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import Papa from 'papaparse';

const CHUNK_BYTES = 1024 * 1024;
/** A quote that is never closed makes one record of all the rest, which would be held and searched again and again. */
const MAX_RECORD_CHARACTERS = 8 * CHUNK_BYTES;

/** What other files begin with. */
const beginnings: [bytes: number[], kind: string][] = [
  [[0x1f, 0x8b], 'a gzip archive; unpack it'],
  [[0x50, 0x4b, 0x03, 0x04], 'a zip archive or a spreadsheet; save it as CSV'],
  [[0xd0, 0xcf, 0x11, 0xe0], 'a spreadsheet; save it as CSV'],
  [[0x50, 0x41, 0x52, 0x31], 'a Parquet file; save it as CSV'],
  [[0xff, 0xfe], 'UTF-16; save it as UTF-8'],
  [[0xfe, 0xff], 'UTF-16; save it as UTF-8'],
];

/** The parser's codes for wrong quotes, in words for whoever wrote the file. */
const quoteFaults: Record<string, string> = {
  MissingQuotes: 'a quote is opened and never closed',
  InvalidQuotes: 'more stands behind a closing quote; write a quote within quotes twice',
};

/**
 * Calls `onRecord` with each record that is not empty; a promise for each would cost more than to parse it. Rejects for a
 * pipe or a device, whose end may never come, and for a file that is written to meanwhile: its last number may be cut.
 */
export async function forEachRecord(path: string, onRecord: (record: string[]) => void): Promise<void> {
  const found = await stat(path);
  if (!found.isFile() && !found.isDirectory()) throw new Error('it is a pipe or a device; write the rows to a file');
  if (found.size > 0) await parseRecords(path, found, onRecord);
  const { size, mtimeMs } = await stat(path);
  if (size !== found.size || mtimeMs !== found.mtimeMs) {
    throw new Error('it has changed while it was read; begin again when it is whole');
  }
}

function parseRecords(path: string, { size }: Stats, onRecord: (record: string[]) => void): Promise<void> {
  const file = createReadStream(path, { highWaterMark: CHUNK_BYTES, end: size - 1 });
  let parsedCharacters = 0;
  let records = 0;
  const text = Readable.from(
    textOf(file, () => parsedCharacters),
    // Text that is read ahead would count as part of the record that is being parsed.
    { highWaterMark: 1 },
  );
  return new Promise<void>((resolve, reject) => {
    Papa.parse<string[]>(text, {
      delimiter: ',',
      newline: '\n',
      skipEmptyLines: 'greedy',
      chunk({ data, errors, meta }, parser) {
        try {
          parsedCharacters = meta.cursor;
          // The row of an error counts from the beginning of its chunk, the header included.
          if (errors[0]) throw new Error(`in row ${records + (errors[0].row ?? 0)} ${saidOf(errors[0])}`);
          records += data.length;
          data.forEach(onRecord);
        } catch (error) {
          // In this order, as abort() calls `complete` too.
          reject(error);
          parser.abort();
        }
      },
      complete: () => resolve(),
      error: reject,
    });
  }).finally(() => file.destroy());
}

const saidOf = ({ code, message }: Papa.ParseError) => quoteFaults[code] ?? message;

/** Text with one kind of line end. Those within quotes change as well, which no number can have. */
async function* textOf(chunks: AsyncIterable<Buffer>, parsedCharacters: () => number): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8');
  let characters = 0;
  let held = '';
  for await (const chunk of chunks) {
    if (characters === 0) refuseOtherKinds(chunk);
    let text = held + decoder.decode(chunk, { stream: true });
    if (text.includes('\0')) throw new Error('it holds a NUL, so it is not text; save it as CSV in UTF-8');
    // The other half of a line end may be in the next chunk.
    held = text.endsWith('\r') ? '\r' : '';
    if (held) text = text.slice(0, -1);
    const even = text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
    characters += even.length;
    if (characters - parsedCharacters() > MAX_RECORD_CHARACTERS) {
      throw new Error(`a row is longer than ${MAX_RECORD_CHARACTERS} characters; look for a quote that is not closed`);
    }
    if (even) yield even;
  }
  const rest = decoder.decode();
  if (held || rest) yield `${rest}\n`;
}

function refuseOtherKinds(chunk: Buffer): void {
  const found = beginnings.find(([bytes]) => bytes.every((byte, i) => chunk[i] === byte));
  if (found) throw new Error(`it is ${found[1]}`);
}
