/**
 * A pool of 256 KiB buffers for bodies that arrive in pieces. A new buffer for each body would reach the old generation
 * before it is freed: decision 0006.
 */

/** Room for a batch of a thousand rows, and nearly as much again. */
export const BUFFER_BYTES = 256 * 1024;
/** A body that begins with a smaller piece is sent slowly, and would hold a large buffer for few bytes. */
export const MIN_FIRST_PIECE_BYTES = 16 * 1024;
/** Spare buffers that are kept: 64 MiB, of which only what has been written to is resident. */
const MAX_SPARE = 256;

const spare: Buffer[] = [];

/**
 * A buffer for a body, given the bytes of its first piece and of the whole (NaN where they are not declared). Undefined
 * where a buffer is not worthwhile or the body does not fit.
 */
export function acquire(firstPiece: number, whole: number): Buffer | undefined {
  if (!(firstPiece >= MIN_FIRST_PIECE_BYTES && whole > firstPiece && whole <= BUFFER_BYTES)) return undefined;
  return spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
}

/** Takes a buffer back that nobody reads any more. */
export function release(buffer: Buffer): void {
  if (spare.length < MAX_SPARE) spare.push(buffer);
}
