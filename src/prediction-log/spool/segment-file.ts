/**
 * The file of a segment that is being written.
 *
 * With `synced` an answer waits for a sync that began after its bytes were written. At most one runs at a time, and what is
 * appended meanwhile shares the next one. The descriptor is closed after the last of them has returned, never before: its
 * number may be another file's by then. After a failed sync the kernel may have dropped the pages and called them clean, so
 * all that wait fail with it, and the file is never synced again.
 */
import { closeSync, fdatasync, fstatSync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { syncDirectory } from './spool-directory.ts';

export interface SegmentFile {
  /** Bytes in the file. */
  readonly length: number;
  /** Writes everything or throws and writes nothing: what a full disk cut short is taken back. */
  append(bytes: Buffer): void;
  /** Takes back what was appended last. */
  cutBack(length: number): void;
  /** The same, if the disk lets it; else the bytes stay at the end of a sealed file, where this process never reads them. */
  cutBackIfPossible(length: number): void;
  /** Resolves when all that has been appended is on the disk. */
  synced(): Promise<void>;
  /** Whether somebody has removed it. */
  isGone(): boolean;
  /** Nothing is appended any more; syncs may still be under way. */
  close(): void;
}

/** Makes the file with its header. With `fsync` its name is on the disk, too. Leaves nothing behind when it throws. */
export function createSegmentFile(path: string, header: Buffer, directory: string, fsync: boolean): SegmentFile {
  const descriptor = openSync(path, 'ax', 0o600);
  const file = openFile(descriptor);
  try {
    file.append(header);
    if (fsync) syncDirectory(directory);
  } catch (error) {
    file.close();
    removeIfPossible(path);
    throw error;
  }
  return file;
}

/** What is left behind has no records, and goes with the next process. */
function removeIfPossible(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // As above.
  }
}

interface Sync {
  promise: Promise<void>;
  resolve: () => void;
  reject: (error: unknown) => void;
}

function openFile(descriptor: number): SegmentFile {
  const file = { length: 0, append, cutBack, cutBackIfPossible, synced, isGone, close };
  let running: Sync | undefined;
  let next: Sync | undefined;
  let failure: unknown;
  let isClosing = false;

  function append(bytes: Buffer): void {
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
    } catch (error) {
      cutBackIfPossible(file.length);
      throw error;
    }
    file.length += bytes.length;
  }

  function cutBackIfPossible(length: number): void {
    try {
      cutBack(length);
    } catch {
      // As it says.
    }
  }

  function cutBack(length: number): void {
    ftruncateSync(descriptor, length);
    file.length = length;
  }

  function synced(): Promise<void> {
    if (failure !== undefined) return Promise.reject(failure);
    if (running) {
      next ??= newSync();
      return next.promise;
    }
    running = newSync();
    sync();
    return running.promise;
  }

  function sync(): void {
    fdatasync(descriptor, (error) => {
      if (error) {
        failure = error;
        next?.reject(error);
        running!.reject(error);
      } else {
        running!.resolve();
      }
      running = error ? undefined : next;
      next = undefined;
      if (running) sync();
      else if (isClosing) closeNow();
    });
  }

  function isGone(): boolean {
    return fstatSync(descriptor).nlink === 0;
  }

  function close(): void {
    isClosing = true;
    if (!running) closeNow();
  }

  /** A failed close frees the descriptor too, and the bytes were written, or synced, before. */
  function closeNow(): void {
    try {
      closeSync(descriptor);
    } catch {
      // As above.
    }
  }

  return file;
}

function newSync(): Sync {
  const sync = {} as Sync;
  sync.promise = new Promise((resolve, reject) => {
    sync.resolve = resolve;
    sync.reject = reject;
  });
  return sync;
}
