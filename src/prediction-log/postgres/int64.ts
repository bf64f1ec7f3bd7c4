/** Whole numbers, which lie in memory as doubles, as the bigint of Postgres. */
import { INT32_BYTES } from './tuples.ts';

const TWO_TO_32 = 2 ** 32;

/** Beyond 2^53 a double may stand for its neighbours too. */
export function isWhole(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) <= 2 ** 53;
}

export function misfitOfBigint(value: number): string {
  return `${value} is no whole number up to 2^53, as its column holds`;
}

/** `value` is a whole number; setBigInt64 would allocate a BigInt for each. */
export function setInt64(view: DataView, at: number, value: number): void {
  view.setInt32(at, Math.floor(value / TWO_TO_32));
  view.setUint32(at + INT32_BYTES, value >>> 0);
}
