/** Ids of predictions: UUIDs version 7, whose first 48 bits are the time in milliseconds, so that they sort by time. */
import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

export interface PredictionIds {
  /** 16 bytes an id. */
  bytes: Uint8Array;
  texts: string[];
}

const ID_BYTES = 16;
const TEXT_LENGTH = 36;
const POOLED_IDS = 512;
const HYPHEN = 45;
const HEX_DIGITS = Buffer.from('0123456789abcdef', 'latin1');

/** A generator that asks the system for randomness once for many ids: asked for each, it would cost 1.5 us an id. */
export function createPredictionIds(): (count: number, msecs: number) => PredictionIds {
  const pool = new Uint8Array(ID_BYTES * POOLED_IDS);
  let used = pool.length;

  function nextRandom(): Uint8Array {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    used += ID_BYTES;
    return pool.subarray(used - ID_BYTES, used);
  }

  return (count, msecs) => {
    const bytes = new Uint8Array(count * ID_BYTES);
    for (let i = 0; i < count; i++) v7({ msecs, random: nextRandom() }, bytes, i * ID_BYTES);
    return { bytes, texts: textsOf(bytes) };
  };
}

/** Writes all texts into one string and cuts it, which takes half the time of joining the digits of each. */
function textsOf(bytes: Uint8Array): string[] {
  const count = bytes.length / ID_BYTES;
  const characters = Buffer.allocUnsafe(count * TEXT_LENGTH);
  let at = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byteOfId = i % ID_BYTES;
    if (byteOfId === 4 || byteOfId === 6 || byteOfId === 8 || byteOfId === 10) characters[at++] = HYPHEN;
    characters[at++] = HEX_DIGITS[bytes[i]! >> 4]!;
    characters[at++] = HEX_DIGITS[bytes[i]! & 15]!;
  }
  const text = characters.toString('latin1');
  return Array.from({ length: count }, (_, i) => text.slice(i * TEXT_LENGTH, (i + 1) * TEXT_LENGTH));
}
