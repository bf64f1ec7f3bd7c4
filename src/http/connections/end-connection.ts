/**
 * How a connection ends once its last answer is written. A socket that is closed while its peer still sends is reset by
 * the kernel, and the reset takes the answer with it: the caller reads EPIPE instead of what is wrong. So what still
 * comes is read and dropped for a moment. Whatever the peer does (goes on sending, never reads, never closes its own
 * half), the moment is short:
 *
 *   answered --(all is written, nothing more is to come)--> destroyed
 *   answered --(more is to come)--> FIN is sent, the rest is dropped --(FIN of the peer | LINGER_MS | LINGER_BYTES)--> destroyed
 */
import type { Socket } from 'node:net';

/** The time that a caller has to notice the answer. */
export const LINGER_MS = 2_000;
/** Bytes that are read and dropped of a request that is refused already: 64 MiB. */
export const LINGER_BYTES = 64 * 1024 * 1024;

/** For each connection that is ending, how much had been read of it when that began. */
const ending = new WeakMap<Socket, number>();

export function isEnding(socket: Socket): boolean {
  return ending.has(socket);
}

/** Ends a connection on which everything that is to be sent is written. */
export function endConnection(socket: Socket, { isMoreToCome }: { isMoreToCome: boolean }): void {
  if (ending.has(socket) || socket.destroyed) return;
  ending.set(socket, socket.bytesRead);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  if (!isMoreToCome) socket.once('finish', () => socket.destroy());
  // When both halves have ended, the socket destroys itself.
  socket.end();
}

/** To be called when more has arrived on a connection that is ending. */
export function dropMore(socket: Socket): void {
  if (socket.bytesRead - (ending.get(socket) ?? 0) > LINGER_BYTES) socket.destroy();
}
