/**
 * The file of records that cannot be stored, `dead-letter.jsonl`: one JSON object a line with the time, the reason and what
 * was to be stored. A line may be the last copy of its record, so it is there as a whole or not at all. All processes that
 * share DATA_DIR append to it, one at a time.
 *
 * It grows with what Postgres refuses and what the disk damages, outside SPOOL_MAX_BYTES, and is emptied by whoever has
 * dealt with it.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { tryLock } from 'fs-native-extensions';

/** A record by its columns, or what can no longer be read; in the file, bytes are in base64. */
export type DeadLetter = { record: Record<string, unknown> } | { bytes: Buffer };

export interface DeadLetters {
  readonly path: string;
  /** Lines written since the start. */
  count(): number;
  /** Resolves when it is on the disk. Rejects when the disk refuses: then no part of it is in the file. */
  add(what: DeadLetter, reason: string): Promise<void>;
}

/** Damage that is longer has several lines: people look at them. */
const MAX_BYTES_OF_A_LINE = 256 * 1024;
/** Enough for the writes and syncs of some other processes. */
const LOCK_ATTEMPTS = 100;
const LOCK_PAUSE_MS = 20;
const NEWLINE = 0x0a;

export function createDeadLetters(root: string): DeadLetters {
  const path = join(root, 'dead-letter.jsonl');
  let count = 0;
  return {
    path,
    count: () => count,
    async add(what, reason) {
      const at = new Date();
      const lines = partsOf(what).map((part) => `${JSON.stringify({ at, reason, ...part })}\n`);
      const file = await open(path, 'a+', 0o600);
      try {
        await lock(file);
        const { size } = await file.stat();
        await appendWhole(file, Buffer.from(lines.join('')), size);
        if (size === 0) await syncName(root);
      } finally {
        await file.close();
      }
      count += lines.length;
    },
  };
}

function partsOf(what: DeadLetter): object[] {
  if ('record' in what) return [what];
  const starts = Array.from(
    { length: Math.ceil(what.bytes.length / MAX_BYTES_OF_A_LINE) },
    (_, i) => i * MAX_BYTES_OF_A_LINE,
  );
  return starts.map((start) => ({ bytes: what.bytes.toString('base64', start, start + MAX_BYTES_OF_A_LINE) }));
}

/** Until the file is closed. */
async function lock(file: FileHandle): Promise<void> {
  for (let attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
    if (tryLock(file.fd)) return;
    await delay(LOCK_PAUSE_MS);
  }
  throw new Error('another process is writing dead-letter.jsonl and does not come to an end');
}

/** A power loss takes a new file away, even a synced one, unless its directory is synced too. */
async function syncName(root: string): Promise<void> {
  const directory = await open(root, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function appendWhole(file: FileHandle, lines: Buffer, size: number): Promise<void> {
  try {
    // A line that something else has cut short would swallow the first of these.
    if (await endsInLine(file, size)) await writeAll(file, Buffer.from('\n'));
    await writeAll(file, lines);
    await file.sync();
  } catch (error) {
    await file.truncate(size);
    throw error;
  }
}

async function endsInLine(file: FileHandle, size: number): Promise<boolean> {
  if (size === 0) return false;
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer[0] !== NEWLINE;
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done);
    done += bytesWritten;
  }
}
