/**
 * Looks up the strings of a JSON body among texts that are known beforehand, by their bytes of UTF-8 and without making
 * strings of them: a table with open addressing, whose hash is FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo, 1991).
 */
import { isUnstorable } from '../../contract/values.ts';
import { BACKSLASH, type End, GAVE_UP, QUOTE, SPACE } from './json-bytes.ts';

export interface KnownTexts {
  /**
   * The place among the texts of the string that begins at `at`. UNKNOWN where it is none of them or has escapes, GAVE_UP
   * where no string of JSON begins there.
   */
  placeOf(body: Buffer, at: number, end: End): number;
}

export const UNKNOWN = -2;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

export function createKnownTexts(texts: readonly string[]): KnownTexts {
  const { bytes, starts } = pack(texts);
  // A power of two, at most half of it in use.
  const mask = 2 ** Math.ceil(Math.log2(2 * texts.length + 1)) - 1;
  const table = new Int32Array(mask + 1).fill(UNKNOWN);
  for (let place = 0; place < texts.length; place++) {
    let hash = FNV_OFFSET;
    for (let i = starts[place]!; i < starts[place + 1]!; i++) hash = hashOf(hash, bytes[i]!);
    let slot = hash & mask;
    while (table[slot] !== UNKNOWN) slot = (slot + 1) & mask;
    table[slot] = place;
  }

  return {
    placeOf(body, at, end) {
      if (body[at] !== QUOTE) return GAVE_UP;
      const first = at + 1;
      let hash = FNV_OFFSET;
      let hasEscape = false;
      let byte = body[++at]!;
      for (; byte !== QUOTE; byte = body[++at]!) {
        // A control character, or the end of the body.
        if (!(byte >= SPACE)) return GAVE_UP;
        if (byte === BACKSLASH) {
          hasEscape = true;
          at++;
        }
        hash = hashOf(hash, byte);
      }
      end.at = at + 1;
      if (hasEscape) return UNKNOWN;
      for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
        const place = table[slot]!;
        if (place === UNKNOWN || isTextAt(body, first, at - first, place)) return place;
      }
    },
  };

  function isTextAt(body: Buffer, at: number, length: number, place: number): boolean {
    const from = starts[place]!;
    if (starts[place + 1]! - from !== length) return false;
    for (let i = 0; i < length; i++) if (body[at + i] !== bytes[from + i]) return false;
    return true;
  }
}

/** The bytes of texts in UTF-8, all in one array, which is faster to read than an array of arrays. */
export function pack(texts: readonly string[]): { bytes: Uint8Array; starts: Uint32Array } {
  const bytes = new Uint8Array(Buffer.from(texts.join('')));
  const starts = new Uint32Array(texts.length + 1);
  texts.forEach((text, place) => {
    starts[place + 1] = starts[place]! + Buffer.byteLength(text);
  });
  return { bytes, starts };
}

function hashOf(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, FNV_PRIME);
}

/** What the string of JSON stands for that has these bounds, with its quotes; undefined where it may be no text at all. */
export function textOf(body: Buffer, at: number, end: number): string | undefined {
  const text = body.toString('utf8', at + 1, end - 1);
  // What is not UTF-8 has been replaced by it.
  if (text.includes('\uFFFD')) return undefined;
  if (!text.includes('\\')) return text;
  try {
    const unescaped: unknown = JSON.parse(`"${text}"`);
    return isUnstorable(unescaped) ? undefined : (unescaped as string);
  } catch {
    return undefined;
  }
}
