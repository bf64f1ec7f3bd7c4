/** A log that keeps its lines, to be looked at. */
import { pino } from 'pino';
import type { Log } from '../../src/log.ts';

export interface NotedLine {
  level: keyof Log;
  message: string;
  fields: Record<string, unknown>;
}

export interface NotedLog {
  log: Log;
  lines: NotedLine[];
  /** Of one level, or of all. */
  messages(level?: keyof Log): string[];
}

export function createNotedLog(): NotedLog {
  const lines: NotedLine[] = [];
  const note = (level: keyof Log) => (fields: object, message: string) =>
    void lines.push({ level, message, fields: { ...fields } });
  return {
    log: { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error'), fatal: note('fatal') },
    lines,
    messages: (level) => lines.filter((line) => !level || line.level === level).map(({ message }) => message),
  };
}

/** Where nobody looks, for what takes Fastify's. */
export const silentLogger = pino({ level: 'silent' });

const nothing = () => undefined;

/** Where nobody looks. */
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, fatal: nothing };
