/**
 * Reads rows straight from the bytes of a JSON body, as a pipeline takes them. The general way (decode the text, parse it
 * to objects, validate each, copy the values out) costs more than twice as much for a large batch: decision 0005.
 *
 * It reads what programs send: objects of the declared names, in any order and spacing. At anything else, right or wrong,
 * it gives up, and the caller goes the general way, which finds what is wrong. So it may give up on valid JSON (a text with
 * U+FFFD), but whatever it reads, it reads exactly as JSON.parse and rowSchema would.
 */
import type { Contract } from '../../contract/contract.ts';
import type { Feature } from '../../contract/features-schema.ts';
import type { FeatureRows } from '../../contract/rows.ts';
import {
  CLOSING_BRACE,
  CLOSING_BRACKET,
  COLON,
  COMMA,
  type End,
  endOf,
  GAVE_UP,
  isAt,
  LOWER_N,
  LOWER_T,
  OPENING_BRACE,
  OPENING_BRACKET,
  pastSpace,
} from './json-bytes.ts';
import { readNumber } from './json-numbers.ts';
import { createTextReader } from './json-texts.ts';
import { createKnownTexts, pack, textOf, UNKNOWN } from './known-texts.ts';

export interface RowReader {
  /** The row that is the whole body; undefined where it gives up. */
  readRow(body: Buffer): FeatureRows | undefined;
  /** The rows of `{"instances": [...]}`, one to `maxRows`; undefined where it gives up. */
  readInstances(body: Buffer): FeatureRows | undefined;
}

const INSTANCES = Buffer.from('"instances"');
const NULL = Buffer.from('null');
const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');

/** The numbers whose values have to be whole, and what is no number. */
const WHOLE = 1;
const OTHER = 2;
const KINDS = { float64: 0, int64: WHOLE, bool: OTHER, string: OTHER };

/** A reader for the rows of a contract. Its scratch buffer, eight bytes a value of `maxRows` rows, serves every body. */
export function createRowReader(contract: Contract, maxRows: number): RowReader {
  const { features } = contract;
  const width = features.length;
  const { bytes: nameBytes, starts: nameStarts } = pack(contract.names.map((name) => JSON.stringify(name)));
  const knownNames = createKnownTexts(contract.names);
  const columns = new Map(contract.names.map((name, column) => [name, column]));
  const kinds = Uint8Array.from(features, ({ dtype }) => KINDS[dtype]);
  const limits = Float64Array.from(features.flatMap(limitsOf));
  const closed = features.map(({ unknown, categories }) => unknown === 'refuse' && new Set<unknown>(categories));
  const texts = createTextReader(contract);
  const block = new Float64Array(maxRows * width);
  /** Of the name or value that was read last. */
  const end: End = { at: 0 };

  /** Reads the row at `at` into the block from `offset` on; returns where it ends. */
  function readRowAt(body: Buffer, at: number, offset: number): number {
    if (body[at] !== OPENING_BRACE) return GAVE_UP;
    // Infinity: no value yet. No number of JSON is it, and null is NaN.
    for (let column = 0; column < width; column++) block[offset + column] = Number.POSITIVE_INFINITY;
    let column = 0;
    for (let left = width; left > 0; left--) {
      at = pastSpace(body, at + 1);
      // Rows usually come in the declared order.
      if (isNameAt(body, at, column)) at += nameStarts[column + 1]! - nameStarts[column]!;
      else {
        column = findName(body, at);
        if (column === GAVE_UP) return left === width ? endEarly(body, at, offset) : GAVE_UP;
        at = end.at;
      }
      // A name that comes twice finds a value.
      if (block[offset + column] !== Number.POSITIVE_INFINITY) return GAVE_UP;
      at = pastSpace(body, at);
      if (body[at] !== COLON) return GAVE_UP;
      at = pastSpace(body, at + 1);
      const kind = kinds[column]!;
      if (kind !== OTHER && body[at] !== LOWER_N) {
        const value = readNumber(body, at, end);
        if (!(value >= limits[2 * column]! && value <= limits[2 * column + 1]!)) return GAVE_UP;
        if (kind === WHOLE && !isAllowed(value, column)) return GAVE_UP;
        block[offset + column] = value;
      } else {
        const slot = readOther(body, at, column);
        if (slot === GAVE_UP) return GAVE_UP;
        block[offset + column] = slot;
      }
      at = pastSpace(body, end.at);
      if (body[at] !== (left > 1 ? COMMA : CLOSING_BRACE)) return endEarly(body, at, offset);
      column = column + 1 === width ? 0 : column + 1;
    }
    return at + 1;
  }

  function isNameAt(body: Buffer, at: number, column: number): boolean {
    const bytes = nameBytes;
    const end = nameStarts[column + 1]!;
    for (let i = nameStarts[column]!; i < end; i++) if (body[at++] !== bytes[i]) return false;
    return true;
  }

  /** Which feature's name is at `at`. */
  function findName(body: Buffer, at: number): number {
    const column = knownNames.placeOf(body, at, end);
    if (column !== UNKNOWN) return column;
    // With escapes, as programs write that send nothing but ASCII.
    const name = textOf(body, at, end.at);
    return (name === undefined ? undefined : columns.get(name)) ?? GAVE_UP;
  }

  function isAllowed(whole: number, column: number): boolean {
    const categories = closed[column]!;
    return Number.isInteger(whole) && (!categories || categories.has(whole));
  }

  /** The slot of what is no number: null, true or false, or a text. */
  function readOther(body: Buffer, at: number, column: number): number {
    const { dtype, nullable } = features[column]!;
    if (body[at] === LOWER_N) return nullable ? readWord(body, at, NULL, Number.NaN) : GAVE_UP;
    if (dtype === 'string') return texts.readText(body, at, column, end);
    if (dtype !== 'bool') return GAVE_UP;
    return body[at] === LOWER_T ? readWord(body, at, TRUE, 1) : readWord(body, at, FALSE, 0);
  }

  function readWord(body: Buffer, at: number, word: Uint8Array, slot: number): number {
    end.at = at + word.length;
    return isAt(body, at, word) ? slot : GAVE_UP;
  }

  /** Ends a row at `at` before everything has come, where the rest is optional, and makes that null. */
  function endEarly(body: Buffer, at: number, offset: number): number {
    if (body[at] !== CLOSING_BRACE) return GAVE_UP;
    for (let column = 0; column < width; column++) {
      if (block[offset + column] !== Number.POSITIVE_INFINITY) continue;
      if (!features[column]!.optional) return GAVE_UP;
      block[offset + column] = Number.NaN;
    }
    return at + 1;
  }

  /** Reads rows into the block; returns how many, 0 where it gives up. */
  function readRows(body: Buffer): number {
    let at = pastSpace(body, 0);
    if (body[at] !== OPENING_BRACE) return 0;
    at = pastSpace(body, at + 1);
    if (!isAt(body, at, INSTANCES)) return 0;
    at = pastSpace(body, at + INSTANCES.length);
    if (body[at] !== COLON) return 0;
    at = pastSpace(body, at + 1);
    if (body[at] !== OPENING_BRACKET) return 0;
    let rows = 0;
    do {
      if (rows === maxRows) return 0;
      at = readRowAt(body, pastSpace(body, at + 1), rows * width);
      if (at === GAVE_UP) return 0;
      rows++;
      at = pastSpace(body, at);
    } while (body[at] === COMMA);
    if (body[at] !== CLOSING_BRACKET) return 0;
    at = pastSpace(body, at + 1);
    return body[at] === CLOSING_BRACE && at + 1 === endOf(body) ? rows : 0;
  }

  function handOut(rows: number, values: ArrayLike<number>, others: string[] | undefined): FeatureRows {
    return others ? { contract, rows, features: values, texts: others } : { contract, rows, features: values };
  }

  return {
    readRow(body) {
      const isRead = readRowAt(body, pastSpace(body, 0), 0) === endOf(body);
      const others = texts.takeOthers();
      if (!isRead) return undefined;
      // A plain array: for one row it is cheaper to allocate than a Float64Array.
      const values = new Array<number>(width);
      for (let column = 0; column < width; column++) values[column] = block[column]!;
      return handOut(1, values, others);
    },
    readInstances(body) {
      const rows = readRows(body);
      const others = texts.takeOthers();
      return rows === 0 ? undefined : handOut(rows, block.slice(0, rows * width), others);
    },
  };
}

/** The smallest and the largest number that a feature takes. */
function limitsOf({
  dtype,
  minimum = Number.NEGATIVE_INFINITY,
  maximum = Number.POSITIVE_INFINITY,
}: Feature): number[] {
  const largest = dtype === 'int64' ? Number.MAX_SAFE_INTEGER : Number.MAX_VALUE;
  return [Math.max(minimum, -largest), Math.min(maximum, largest)];
}
