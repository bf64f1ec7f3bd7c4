/**
 * Reads rows straight from the bytes of a JSON body, as a pipeline takes them. The general way (decode the text, parse it
 * to objects, validate each, copy the values out) costs more than twice as much for a large batch: decision 0005.
 *
 * It reads what programs send: objects of the declared names, in any order and spacing, with numbers. At anything else,
 * right or wrong, it gives up, and the caller goes the general way, which finds what is wrong. So it may give up on valid
 * JSON (`"\u0052M"`, a name twice), but whatever it reads, it reads exactly as JSON.parse and rowSchema would.
 */
import type { Contract } from '../../contract/contract.ts';
import type { FeatureRows } from '../../contract/rows.ts';

export interface RowReader {
  /** The row that is the whole body; undefined where it gives up. */
  readRow(body: Buffer): FeatureRows | undefined;
  /** The rows of `{"instances": [...]}`, one to `maxRows`; undefined where it gives up. */
  readInstances(body: Buffer): FeatureRows | undefined;
}

const TAB = 9;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const PLUS = 43;
const COMMA = 44;
const MINUS = 45;
const POINT = 46;
const ZERO = 48;
const COLON = 58;
const UPPER_E = 69;
const OPENING_BRACKET = 91;
const CLOSING_BRACKET = 93;
const LOWER_E = 101;
const OPENING_BRACE = 123;
const CLOSING_BRACE = 125;

const INSTANCES = Buffer.from('"instances"');

/** Whole numbers of so many digits, and powers of ten up to the 22nd, are exact in float64. */
const EXACT_DIGITS = 15;
const POWERS_OF_TEN = Float64Array.from({ length: EXACT_DIGITS + 1 }, (_, exponent) => 10 ** exponent);

const GAVE_UP = -1;

/** A reader for the rows of a contract. Its scratch buffer, eight bytes a value of `maxRows` rows, serves every body. */
export function createRowReader(contract: Contract, maxRows: number): RowReader {
  const { features } = contract;
  const width = features.length;
  // All names in one array, which is faster to read than an array of arrays.
  const names = features.map(({ name }) => Buffer.from(JSON.stringify(name)));
  const nameBytes = Uint8Array.from(Buffer.concat(names));
  const nameLengths = Uint32Array.from(names, (name) => name.length);
  const nameStarts = Uint32Array.from(names, (_, column) => Buffer.concat(names.slice(0, column)).length);
  const isWhole = Uint8Array.from(features, ({ dtype }) => (dtype === 'int64' ? 1 : 0));
  const block = new Float64Array(maxRows * width);
  /** Where the number that was read last ends. */
  let numberEnd = 0;

  /** Reads the row at `at` into the block from `offset` on; returns where it ends. */
  function readRowAt(body: Buffer, at: number, offset: number): number {
    if (body[at] !== OPENING_BRACE) return GAVE_UP;
    // NaN: no value yet. A name that comes twice finds one.
    for (let column = 0; column < width; column++) block[offset + column] = Number.NaN;
    let column = 0;
    for (let left = width; left > 0; left--) {
      at = pastSpace(body, at + 1);
      column = columnAt(body, at, column);
      if (column === GAVE_UP || !Number.isNaN(block[offset + column])) return GAVE_UP;
      at = pastSpace(body, at + nameLengths[column]!);
      if (body[at] !== COLON) return GAVE_UP;
      const value = readNumber(body, pastSpace(body, at + 1));
      if (!(isWhole[column] === 1 ? Number.isSafeInteger(value) : Number.isFinite(value))) return GAVE_UP;
      block[offset + column] = value;
      at = pastSpace(body, numberEnd);
      if (body[at] !== (left > 1 ? COMMA : CLOSING_BRACE)) return GAVE_UP;
      column = column + 1 === width ? 0 : column + 1;
    }
    return at + 1;
  }

  /** Which feature's name is at `at`; `guess` is tried first, as rows usually come in the declared order. */
  function columnAt(body: Buffer, at: number, guess: number): number {
    let column = guess;
    do {
      if (isNameAt(body, at, column)) return column;
      column = column + 1 === width ? 0 : column + 1;
    } while (column !== guess);
    return GAVE_UP;
  }

  function isNameAt(body: Buffer, at: number, column: number): boolean {
    const start = nameStarts[column]!;
    const length = nameLengths[column]!;
    for (let i = 0; i < length; i++) if (body[at + i] !== nameBytes[start + i]) return false;
    return true;
  }

  /** The number at `at`, read as JSON.parse does; NaN where JSON has none. */
  function readNumber(body: Buffer, at: number): number {
    const start = at;
    const isNegative = body[at] === MINUS;
    if (isNegative) at++;
    const firstDigit = at;
    let magnitude = 0;
    let byte = body[at]!;
    for (; isDigit(byte); byte = body[++at]!) magnitude = magnitude * 10 + (byte - ZERO);
    let digits = at - firstDigit;
    if (digits === 0 || (digits > 1 && body[firstDigit] === ZERO)) return Number.NaN;
    let decimals = 0;
    if (byte === POINT) {
      byte = body[++at]!;
      const firstDecimal = at;
      for (; isDigit(byte); byte = body[++at]!) magnitude = magnitude * 10 + (byte - ZERO);
      decimals = at - firstDecimal;
      if (decimals === 0) return Number.NaN;
      digits += decimals;
    }
    const hasExponent = byte === LOWER_E || byte === UPPER_E;
    if (hasExponent) {
      byte = body[++at]!;
      if (byte === PLUS || byte === MINUS) byte = body[++at]!;
      while (isDigit(byte)) byte = body[++at]!;
    }
    numberEnd = at;
    // Number gives NaN for an exponent without digits.
    if (hasExponent || digits > EXACT_DIGITS) return Number(body.toString('latin1', start, at));
    // Both sides are exact, so the quotient is the nearest float64 to what was written: W. D. Clinger, "How to read
    // floating point numbers accurately", 1990.
    const value = magnitude / POWERS_OF_TEN[decimals]!;
    return isNegative ? -value : value;
  }

  return {
    readRow(body) {
      if (readRowAt(body, pastSpace(body, 0), 0) !== endOf(body)) return undefined;
      // A plain array: for one row it is cheaper to allocate than a Float64Array.
      const values = new Array<number>(width);
      for (let column = 0; column < width; column++) values[column] = block[column]!;
      return { contract, rows: 1, features: values };
    },
    readInstances(body) {
      let at = pastSpace(body, 0);
      if (body[at] !== OPENING_BRACE) return undefined;
      at = pastSpace(body, at + 1);
      if (!body.subarray(at, at + INSTANCES.length).equals(INSTANCES)) return undefined;
      at = pastSpace(body, at + INSTANCES.length);
      if (body[at] !== COLON) return undefined;
      at = pastSpace(body, at + 1);
      if (body[at] !== OPENING_BRACKET) return undefined;
      let rows = 0;
      do {
        if (rows === maxRows) return undefined;
        at = readRowAt(body, pastSpace(body, at + 1), rows * width);
        if (at === GAVE_UP) return undefined;
        rows++;
        at = pastSpace(body, at);
      } while (body[at] === COMMA);
      if (body[at] !== CLOSING_BRACKET) return undefined;
      at = pastSpace(body, at + 1);
      if (body[at] !== CLOSING_BRACE || at + 1 !== endOf(body)) return undefined;
      return { contract, rows, features: block.slice(0, rows * width) };
    },
  };
}

/** Where the next byte is, from `at` on, that is not white space. */
function pastSpace(body: Buffer, at: number): number {
  while (isSpace(body[at]!)) at++;
  return at;
}

/** The length of a body without the space at its end. */
function endOf(body: Buffer): number {
  let end = body.length;
  while (end > 0 && isSpace(body[end - 1]!)) end--;
  return end;
}

function isSpace(byte: number): boolean {
  return byte <= SPACE && (byte === SPACE || byte === LINE_FEED || byte === CARRIAGE_RETURN || byte === TAB);
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= ZERO + 9;
}
