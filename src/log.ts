/** The log of every process: JSON lines on standard output, which never hold it up (line-sink.ts says how). */
import { type Logger, pino, stdTimeFunctions } from 'pino';
import { createLineSink } from './line-sink.ts';

/** A log as every part takes it, or those of its levels that it uses: fields, then a message. */
export type Log = Record<'debug' | 'info' | 'warn' | 'error' | 'fatal', (fields: object, message: string) => void>;

export interface OpenLog {
  /** Fastify asks for more of it. */
  log: Logger;
  /** Text for people, between the lines. */
  print(text: string): void;
  /** How many lines could not be written. */
  dropped(): number;
}

export function openLog(level: string): OpenLog {
  const options = {
    level,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  let told = '';
  const aside = pino(options, { write: (line) => (told = line) });
  const sink = createLineSink(1, (count) => {
    aside.warn({ dropped: count }, `${count} log lines could not be written`);
    return told;
  });
  const log = pino(options, sink);
  // Node would print warnings to standard error, and wait for its reader.
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => log.warn({ name }, message));
  return { log, print: (text) => sink.write(`${text}\n`), dropped: sink.dropped };
}

/** Tells whoever has started a command why it ends. */
export function complain(text: string): void {
  createLineSink(2).write(`${text}\n`);
}
