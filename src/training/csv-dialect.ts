/** How a CSV file is written: what stands between its fields and what ends its lines, found out from its first rows. */
import Papa from 'papaparse';
import { RidgelineError } from '../errors.ts';
import { isSameName, shownLine } from './csv-header.ts';
import { type CsvFile, textOf } from './csv-text.ts';

export interface Dialect {
  separator: Separator;
  /** \r\n is a \n, whose \r is left out. Old programs write \r alone. */
  lineEnd: '\n' | '\r';
}

/** The dialect of a file, and the names of its columns as they are written. */
export interface Layout extends Dialect {
  header: readonly string[];
  /** The header as it is written. */
  firstLine: string;
}

export type Separator = ',' | ';' | '\t' | '|';

export const separators: Record<Separator, string> = { ',': 'commas', ';': 'semicolons', '\t': 'tabs', '|': 'bars' };

/** Enough to tell a separator from a character in a text. */
const SAMPLE_ROWS = 100;

/** What the first rows are, read with one of the separators. */
interface Reading {
  separator: Separator;
  header: string[];
  /** Whether each of the rows has as many fields as the header. */
  isEven: boolean;
}

/**
 * The layout of a file that has columns of these names. Where several separators are in its header, it is the one with
 * which most of these columns are there and, of several, the one with which all rows have as many fields. Throws
 * `training_data` where that does not leave one.
 */
export async function findLayout(file: CsvFile, wanted: readonly string[]): Promise<Layout> {
  const { text, isWhole } = await beginningOf(file);
  const { path } = file;
  if (text.trim() === '' && isWhole) throw refuse(`${path} is empty. It needs a header and rows.`);
  const forExcel = /^sep=.?(?=[\r\n])/i.exec(text)?.[0];
  if (forExcel) throw refuse(`${path} begins with ${forExcel}, which is for Excel alone. Take that line out.`);
  const lineEnd = firstLineEnd(text);
  const namesIn = ({ header }: Reading) =>
    wanted.filter((name) => header.some((other) => isSameName(name, other))).length;
  const readings = (Object.keys(separators) as Separator[])
    .map((separator) => readSample(text, isWhole, { separator, lineEnd }))
    .filter(({ header }) => header.length > 1);
  if (readings.length === 0) throw refuse(noTable(path, text, wanted));
  const named = readings.filter((reading) => namesIn(reading) === Math.max(...readings.map(namesIn)));
  const even = named.filter(({ isEven }) => isEven);
  const [found, other] = even.length > 0 ? even : named;
  if (other) throw refuse(severalWays(path, readings));
  return { separator: found!.separator, lineEnd, header: found!.header, firstLine: firstLineOf(text) };
}

/** The first piece of the text, and whether that is all. */
async function beginningOf(file: CsvFile): Promise<{ text: string; isWhole: boolean }> {
  const pieces = textOf(file);
  const { value = '', done } = await pieces.next();
  const isWhole = done || (await pieces.next()).done === true;
  await pieces.return(undefined);
  return { text: value as string, isWhole };
}

function firstLineEnd(text: string): Dialect['lineEnd'] {
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '"') isQuoted = !isQuoted;
    else if (isQuoted) continue;
    else if (character === '\n') return '\n';
    else if (character === '\r') return text[i + 1] === '\n' ? '\n' : '\r';
  }
  return '\n';
}

/** The first one on which there is something to be seen. */
function firstLineOf(text: string): string {
  return text.trimStart().split(/[\r\n]/, 1)[0]!;
}

function readSample(text: string, isWhole: boolean, { separator, lineEnd }: Dialect): Reading {
  const { data } = Papa.parse<string[]>(text, { delimiter: separator, newline: lineEnd, preview: SAMPLE_ROWS + 1 });
  // The last row may be cut.
  if (!isWhole && data.length <= SAMPLE_ROWS && data.length > 1) data.pop();
  const [header = [], ...rows] = data.filter((fields) => !isBlank(fields));
  const names = header.map((name) => name.replace(/\r$/, ''));
  return { separator, header: names, isEven: rows.every(({ length }) => length === names.length) };
}

/** Of a line on which nothing is to be seen. */
export function isBlank(fields: readonly string[]): boolean {
  return fields.length === 1 && fields[0]!.trim() === '';
}

function noTable(path: string, text: string, wanted: readonly string[]): string {
  const line = firstLineOf(text);
  const signs = 'commas, semicolons, tabs or bars';
  if (wanted.length === 1 && isSameName(line, wanted[0]!)) {
    return `${path} has no other column than the target. It is predicted from others, between ${signs}: add them.`;
  }
  const names = wanted.length > 1 ? wanted.join(', ') : `${wanted[0]} and other columns`;
  return `${path} begins with ${shownLine(line)}. The first line must be a header with ${names}, between ${signs}.`;
}

function severalWays(path: string, readings: readonly Reading[]): string {
  const ways = readings.map(({ separator, header }) => `${separators[separator]} (${header.length} columns)`);
  return `The header of ${path} can be read with ${ways.join(' or with ')}. Put names that hold such a sign in quotes.`;
}

const refuse = (detail: string) => new RidgelineError('training_data', { detail });
