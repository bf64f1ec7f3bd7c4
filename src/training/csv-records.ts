/**
 * The records of a CSV file (RFC 4180): fields between separators, in quotes where need be, and both kinds of line ends,
 * also mixed, as they come about when rows are appended on another system. Within quotes they stay as they are.
 */
import type { Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import Papa from 'papaparse';
import { type Dialect, isBlank, type Layout } from './csv-dialect.ts';
import { type CsvFile, textOf } from './csv-text.ts';

/** A quote that is never closed makes one record of all the rest, which would be held and searched again and again. */
const MAX_RECORD_CHARACTERS = 8 * 1024 * 1024;

/** The parser's codes for wrong quotes, in words for whoever wrote the file. */
const quoteFaults: Record<string, string> = {
  MissingQuotes: 'a quote is opened and never closed',
  InvalidQuotes: 'more stands behind a closing quote; write a quote within quotes twice',
};

export interface Place {
  /** Of the data: 1 is the first behind the header, 0 the header itself. */
  row: number;
  /** Of the file, from 1, where the record begins. */
  line: number;
}

/**
 * Calls `onRecord` with each record that is not a blank line; a promise for each would cost more than to parse it. All
 * have as many fields as the header. The place is the same object at each call. `hash` is given the bytes of the file.
 */
export async function forEachRecord(
  file: CsvFile,
  layout: Layout,
  onRecord: (fields: string[], place: Readonly<Place>) => void,
  hash?: Hash,
): Promise<void> {
  const place: Place = { row: 0, line: 1 };
  const columns = layout.header.length;
  await parse(textOf(file, hash), layout, (fields, fault) => {
    if (fault !== undefined) throw new Error(`in ${placeOf(place)} ${fault}`);
    const last = fields.length - 1;
    if (fields[last]!.endsWith('\r')) fields[last] = fields[last]!.slice(0, -1);
    if (!isBlank(fields)) {
      if (fields.length !== columns) throw new Error(raggedRow(place, fields.length, columns));
      onRecord(fields, place);
      place.row++;
    }
    place.line += 1 + countLineEnds(fields, layout.lineEnd);
  });
}

/** "row 7 (line 8)"; of the header, "line 1". */
export function placeOf({ row, line }: Place): string {
  return row === 0 ? `line ${line}` : `row ${row} (line ${line})`;
}

function raggedRow(place: Place, fields: number, columns: number): string {
  const hasNames = place.row === 1 && fields === columns + 1;
  const advice = hasNames ? 'give every column a name in the header' : 'correct or drop it';
  return `${placeOf(place)} has ${fields} fields and the header ${columns}; ${advice}`;
}

/** Within quotes. */
function countLineEnds(fields: readonly string[], lineEnd: string): number {
  let count = 0;
  for (const field of fields) if (field.includes(lineEnd)) count += field.split(lineEnd).length - 1;
  return count;
}

/** Hands over each record, with what is wrong with its quotes. */
function parse(
  pieces: AsyncIterable<string>,
  { separator, lineEnd }: Dialect,
  onRecord: (fields: string[], fault?: string) => void,
): Promise<void> {
  let parsedCharacters = 0;
  const lines = Readable.from(
    wholeLines(pieces, lineEnd, () => parsedCharacters),
    // Text that is read ahead would count as part of the record that is being parsed.
    { highWaterMark: 1 },
  );
  return new Promise<void>((resolve, reject) => {
    Papa.parse<string[]>(lines, {
      delimiter: separator,
      newline: lineEnd,
      chunk({ data, errors, meta }, parser) {
        try {
          parsedCharacters = meta.cursor;
          const [first] = errors;
          // The row of an error counts from the beginning of its chunk.
          data.forEach((fields, i) => {
            onRecord(fields, first?.row === i ? (quoteFaults[first.code] ?? first.message) : undefined);
          });
        } catch (error) {
          // In this order, as abort() calls `complete` too.
          reject(error);
          parser.abort();
        }
      },
      complete: () => resolve(),
      error: reject,
    });
  }).finally(() => lines.destroy());
}

/** Text cut at ends of lines alone, as the parser takes a quote that is followed by a part of one for a fault. */
async function* wholeLines(
  pieces: AsyncIterable<string>,
  lineEnd: Dialect['lineEnd'],
  parsedCharacters: () => number,
): AsyncGenerator<string> {
  let characters = 0;
  let begun = '';
  for await (const piece of pieces) {
    characters += piece.length;
    if (characters - parsedCharacters() > MAX_RECORD_CHARACTERS) {
      throw new Error(`a row is longer than ${MAX_RECORD_CHARACTERS} characters; look for a quote that is not closed`);
    }
    const text = begun + piece;
    const end = text.lastIndexOf(lineEnd) + 1;
    begun = text.slice(end);
    if (end > 0) yield text.slice(0, end);
  }
  if (begun) yield begun + lineEnd;
}
