/**
 * The gentle end of a server that callers keep connections to. First it only says that it is going: with `Connection:
 * close` on every answer (answers.ts), so that each connection ends after an answer and never under a request. When they
 * have gone, or those that are left have been silent for a while, or time is up, the listener closes.
 */
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';

export interface Drain {
  isDraining(): boolean;
  /** Resolves when no connection is left or none asks any more, at the latest after `limitMs`. */
  start(limitMs: number): Promise<void>;
}

const LOOK_EVERY_MS = 10;
/** A connection that has asked nothing for this long, such as a browser's, is not under load. */
const SILENCE_MS = 1_000;

export function registerDrain(app: FastifyInstance): Drain {
  const sockets = new Set<Socket>();
  let draining = false;
  let lastRequestAt = 0;
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  app.server.on('request', () => {
    if (draining) lastRequestAt = Date.now();
  });
  return {
    isDraining: () => draining,
    async start(limitMs) {
      draining = true;
      lastRequestAt = Date.now();
      const deadline = Date.now() + limitMs;
      while (sockets.size > 0 && Date.now() < Math.min(deadline, lastRequestAt + SILENCE_MS))
        await delay(LOOK_EVERY_MS);
    },
  };
}
