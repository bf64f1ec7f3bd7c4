/**
 * How many bytes all segments under the directory of spools have, those of other processes and of dead ones too: what
 * SPOOL_MAX_BYTES limits.
 *
 * It is asked before a segment is begun, while a request waits, so what cannot have changed is not looked at again: a
 * directory with the same time of change has the same files, of which only the last one grows. That is two calls for each
 * directory, one for each process that lives or has left something behind. When files come or go, the sizes of the others
 * are still known: thousands of files may go one by one.
 */
import { readdirSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { isSegmentName, isSpoolName } from './spool-directory.ts';

export interface SpoolUsage {
  /** Bytes now, without those of one directory. */
  measure(except?: string): number;
  /** Bytes of all, at most a second ago. */
  recent(): number;
}

interface Known {
  /** When the directory last changed; undefined when it may change once more within the same timestamp. */
  changedMs: number | undefined;
  /** By path, of all segments but the last. */
  sealed: Map<string, number>;
  sealedBytes: number;
  last: string | undefined;
}

/** The finest difference between two times of a file system is some milliseconds, on some a second. */
const SETTLED_MS = 2_000;
const RECENT_MS = 1_000;

export function createSpoolUsage(root: string): SpoolUsage {
  let known = new Map<string, Known>();
  let recentBytes = 0;
  let recentUntil = 0;

  function measure(except?: string): number {
    const met = new Map<string, Known>();
    let bytes = 0;
    for (const name of namesIn(root)) {
      const directory = join(root, name);
      if (directory === except || !isSpoolName(name)) continue;
      const spool = look(directory, known.get(name));
      met.set(name, spool);
      bytes += spool.sealedBytes + (spool.last ? sizeOf(spool.last) : 0);
    }
    known = met;
    return bytes;
  }

  return {
    measure,
    recent() {
      if (performance.now() < recentUntil) return recentBytes;
      recentBytes = measure();
      recentUntil = performance.now() + RECENT_MS;
      return recentBytes;
    },
  };
}

function look(directory: string, before: Known | undefined): Known {
  const stat = statOf(directory);
  if (stat && before?.changedMs === stat.mtimeMs) return before;
  const paths = namesIn(directory)
    .filter(isSegmentName)
    .sort()
    .map((name) => join(directory, name));
  const last = paths.pop();
  const isSettled = stat !== undefined && Math.abs(Date.now() - stat.mtimeMs) > SETTLED_MS;
  const sealed = new Map(paths.map((path) => [path, before?.sealed.get(path) ?? sizeOf(path)]));
  const sealedBytes = [...sealed.values()].reduce((sum, size) => sum + size, 0);
  return { changedMs: isSettled ? stat.mtimeMs : undefined, sealed, sealedBytes, last };
}

/** What cannot be read has no bytes that this process could count. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function sizeOf(path: string): number {
  return statOf(path)?.size ?? 0;
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
