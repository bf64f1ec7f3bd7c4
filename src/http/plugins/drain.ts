/**
 * Graceful shutdown of a server that callers keep connections to.
 *
 *     serving -> draining: new connections are taken on, every answer carries `Connection: close`
 *     (answers.ts), so that each connection ends after an answer and never under a request
 *     -> closing: the listener is closed; idle connections go, unfinished requests have a little time -> closed
 */
import { Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';

export interface Drain {
  isDraining(): boolean;
  /** From now on every connection ends with its next answer; resolves after so many milliseconds. */
  start(milliseconds: number): Promise<void>;
  /** Closes the listener, lets go of the connections, and resolves when none is left, at the latest after `limitMs`. */
  finish(limitMs: number): Promise<void>;
}

const LOOK_EVERY_MS = 10;
/** A connection counts as idle only after this long, as a caller that was just answered may be sending already. */
const PAUSE_MS = 100;
/** A connection that has asked nothing for this long was opened in advance, such as a browser's. */
const SILENCE_MS = 1_000;

export function registerDrain(app: FastifyInstance): Drain {
  /** When each connection was opened. */
  const sockets = new Map<Socket, number>();
  let draining = false;
  app.server.on('connection', (socket: Socket) => {
    sockets.set(socket, performance.now());
    socket.once('close', () => sockets.delete(socket));
  });

  function closeIdle(now: number): void {
    for (const [socket, openedAt] of sockets) {
      if (socket.bytesRead === 0 && now - openedAt >= SILENCE_MS) socket.destroy();
    }
    // Node calls a connection idle whose answer is complete but has not left yet.
    if (![...sockets.keys()].some(({ writableLength }) => writableLength > 0)) app.server.closeIdleConnections();
  }

  return {
    isDraining: () => draining,
    async start(milliseconds) {
      draining = true;
      await delay(milliseconds);
    },
    async finish(limitMs) {
      draining = true;
      // close() of net.Server: that of http.Server also closes idle connections at once.
      Server.prototype.close.call(app.server);
      const startedAt = performance.now();
      for (let now = startedAt; sockets.size > 0 && now - startedAt < limitMs; now = performance.now()) {
        if (now - startedAt >= PAUSE_MS) closeIdle(now);
        await delay(LOOK_EVERY_MS);
      }
      for (const socket of sockets.keys()) socket.destroy();
    },
  };
}
