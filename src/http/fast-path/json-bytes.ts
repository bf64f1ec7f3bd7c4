/** The bytes of JSON that have a meaning, and the space between them. */

const TAB = 9;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
export const SPACE = 32;
export const QUOTE = 34;
export const PLUS = 43;
export const COMMA = 44;
export const MINUS = 45;
export const POINT = 46;
export const ZERO = 48;
export const NINE = 57;
export const COLON = 58;
export const UPPER_E = 69;
export const OPENING_BRACKET = 91;
export const BACKSLASH = 92;
export const CLOSING_BRACKET = 93;
export const LOWER_E = 101;
export const LOWER_N = 110;
export const LOWER_T = 116;
export const OPENING_BRACE = 123;
export const CLOSING_BRACE = 125;

/** What a reader gives for bytes that it does not read; the general way then decides what they are. */
export const GAVE_UP = -1;

/** A second result of those who read something: where it ends. */
export interface End {
  at: number;
}

/** Where the next byte is, from `at` on, that is not white space. */
export function pastSpace(body: Buffer, at: number): number {
  while (isSpace(body[at]!)) at++;
  return at;
}

/** The length of a body without the space at its end. */
export function endOf(body: Buffer): number {
  let end = body.length;
  while (end > 0 && isSpace(body[end - 1]!)) end--;
  return end;
}

function isSpace(byte: number): boolean {
  return byte <= SPACE && (byte === SPACE || byte === LINE_FEED || byte === CARRIAGE_RETURN || byte === TAB);
}

/** Whether the bytes at `at` are these. */
export function isAt(body: Buffer, at: number, bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (body[at + i] !== bytes[i]) return false;
  return true;
}
