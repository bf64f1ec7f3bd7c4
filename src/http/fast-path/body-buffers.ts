/**
 * A pool of buffers in which the pieces of bodies are put together. Where hundreds of callers send batches at the same
 * time, their bodies arrive over many turns of the event loop. A new buffer for each would reach the old generation
 * before it is freed, which takes a full garbage collection for every few hundred bodies.
 */

/** Room for a batch of a thousand rows, and nearly as much again. */
export const BUFFER_BYTES = 256 * 1024;
/** A body that begins with a smaller piece is sent slowly, and would hold a large buffer for few bytes. */
export const MIN_FIRST_PIECE_BYTES = 16 * 1024;
/** Kept for later: 64 MiB, of which only what has been written to is resident. Fewer callers need less. */
const MAX_SPARE = 256;

const spare: Buffer[] = [];

/**
 * A buffer for a body by the bytes of its first piece and of the whole, which are NaN where they are not declared.
 * Undefined where it is not worthwhile, or the body has no room in it.
 */
export function acquire(firstPiece: number, whole: number): Buffer | undefined {
  if (!(firstPiece >= MIN_FIRST_PIECE_BYTES && whole > firstPiece && whole <= BUFFER_BYTES)) return undefined;
  return spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
}

/** Takes a buffer back that nobody reads any more. */
export function release(buffer: Buffer): void {
  if (spare.length < MAX_SPARE) spare.push(buffer);
}
