/**
 * The gentle end of a server that callers keep connections to. First it only says that it is going: with `Connection:
 * close` on every answer (fast-path/send-json.ts), so that each connection ends after an answer and never under a request. When they
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
/** Callers whose connection has ended come back at once: the listener must not close in the gap, under their new ones. */
const PAUSE_MS = 100;

export function registerDrain(app: FastifyInstance): Drain {
  const sockets = new Set<Socket>();
  let draining = false;
  let lastSeenAt = 0;
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    lastSeenAt = Date.now();
    socket.once('close', () => sockets.delete(socket));
  });
  return {
    isDraining: () => draining,
    async start(limitMs) {
      draining = true;
      // Not before: every listener costs each request something.
      app.server.on('request', () => {
        lastSeenAt = Date.now();
      });
      const startedAt = Date.now();
      const isOver = (now: number) => {
        const silentFor = now - Math.max(lastSeenAt, startedAt);
        return now - startedAt >= limitMs || silentFor >= (sockets.size > 0 ? SILENCE_MS : PAUSE_MS);
      };
      while (!isOver(Date.now())) await delay(LOOK_EVERY_MS);
    },
  };
}
