/** Reads numbers from the bytes of JSON, each as JSON.parse does. */
import { type End, LOWER_E, MINUS, NINE, PLUS, POINT, UPPER_E, ZERO } from './json-bytes.ts';

/** Whole numbers of so many digits, and powers of ten up to the 22nd, are exact in float64. */
const EXACT_DIGITS = 15;
const POWERS_OF_TEN = Float64Array.from({ length: EXACT_DIGITS + 1 }, (_, exponent) => 10 ** exponent);

/** The number at `at`; NaN where JSON has none, Infinity where it is past the largest. */
export function readNumber(body: Buffer, at: number, end: End): number {
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
  end.at = at;
  // Number gives NaN for an exponent without digits.
  if (hasExponent || digits > EXACT_DIGITS) return Number(body.toString('latin1', start, at));
  // Both sides are exact, so the quotient is the nearest float64 to what was written: W. D. Clinger, "How to read
  // floating point numbers accurately", 1990.
  const value = magnitude / POWERS_OF_TEN[decimals]!;
  return isNegative ? -value : value;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}
