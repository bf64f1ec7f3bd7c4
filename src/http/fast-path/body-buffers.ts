/**
 * Memory in which the pieces of bodies are put together, used again and again. Where hundreds of callers send batches at
 * the same time, their bodies arrive over many turns of the event loop. New memory for each would be old by the time it
 * is freed, which takes a full garbage collection for every few hundred bodies.
 */

/** Room for a batch of a thousand rows, and nearly as much again. */
export const MEMORY_BYTES = 256 * 1024;
/** Whoever begins with less than this sends slowly, and would hold much memory for little. */
export const WORTHWHILE_BYTES = 16 * 1024;
/** What is kept for later: 64 MiB, of which only what has been written to is resident. Fewer callers need less. */
const MOST_SPARE = 256;

const spare: Buffer[] = [];

/**
 * Memory for a body by the bytes of its first piece and of the whole, which are NaN where they are not declared. Undefined
 * where it is not worthwhile, or has not the room.
 */
export function takeMemory(firstPiece: number, whole: number): Buffer | undefined {
  if (!(firstPiece >= WORTHWHILE_BYTES && whole > firstPiece && whole <= MEMORY_BYTES)) return undefined;
  return spare.pop() ?? Buffer.allocUnsafeSlow(MEMORY_BYTES);
}

/** Nobody may read it any more. */
export function giveBack(memory: Buffer): void {
  if (spare.length < MOST_SPARE) spare.push(memory);
}
