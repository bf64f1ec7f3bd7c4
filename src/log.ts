/** The log of every process: JSON lines on standard output, written at once, so that a crash takes none with it. */
import { type Logger, pino, stdTimeFunctions } from 'pino';

export type Log = Logger;

export function createLog(level: string): Log {
  return pino(
    { level, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    pino.destination({ fd: 1, sync: true }),
  );
}
