/** Ids of predictions: UUIDs version 7, whose first 48 bits are the time in milliseconds, so that they sort by time. */
import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';
import { ID_BYTES } from '../prediction-log/prediction-batch.ts';

/** Fills `bytes` with ids of this time, 16 bytes each, and returns their texts. */
export type NewPredictionIds = (bytes: Uint8Array, msecs: number) => string[];

const TEXT_LENGTH = 36;
const POOLED_IDS = 512;
const HYPHEN = 45;
const HEX_DIGITS = Buffer.from('0123456789abcdef', 'latin1');

/** A generator that draws a pool of randomness from the system for many ids at a time, as each draw is expensive. */
export function createPredictionIds(): NewPredictionIds {
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

  return (bytes, msecs) => {
    for (let at = 0; at < bytes.length; at += ID_BYTES) v7({ msecs, random: nextRandom() }, bytes, at);
    return textsOf(bytes);
  };
}

/** Writes all texts into one string and slices it, which is faster than joining the digits of each. */
function textsOf(bytes: Uint8Array): string[] {
  const count = bytes.length / ID_BYTES;
  const characters = Buffer.allocUnsafe(count * TEXT_LENGTH);
  for (let id = 0; id < count; id++) writeText(bytes, id * ID_BYTES, characters, id * TEXT_LENGTH);
  const text = characters.toString('latin1');
  const texts = new Array<string>(count);
  for (let id = 0; id < count; id++) texts[id] = text.slice(id * TEXT_LENGTH, (id + 1) * TEXT_LENGTH);
  return texts;
}

/** Writes the 36 characters of one id. */
function writeText(bytes: Uint8Array, from: number, characters: Buffer, at: number): void {
  for (let i = 0; i < ID_BYTES; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) characters[at++] = HYPHEN;
    const byte = bytes[from + i]!;
    characters[at++] = HEX_DIGITS[byte >> 4]!;
    characters[at++] = HEX_DIGITS[byte & 15]!;
  }
}
