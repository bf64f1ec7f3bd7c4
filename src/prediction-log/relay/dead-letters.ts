/** The file of records that cannot be stored: one JSON object a line with the time, the reason and what was to be stored. */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** A record by its columns, or the bytes of what can no longer be read, in base64. */
export type DeadLetter = { record: Record<string, unknown> } | { bytes: string };

export interface DeadLetters {
  readonly path: string;
  /** Records set aside since the start. */
  count(): number;
  /** Returns when the record is on the disk: it may be its last copy. Throws when the disk refuses. */
  add(what: DeadLetter, reason: string): void;
}

export function createDeadLetters(root: string): DeadLetters {
  const path = join(root, 'dead-letter.jsonl');
  let count = 0;
  return {
    path,
    count: () => count,
    add(what, reason) {
      const descriptor = openSync(path, 'a', 0o600);
      try {
        writeSync(descriptor, `${JSON.stringify({ at: new Date(), reason, ...what })}\n`);
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      count++;
    },
  };
}
