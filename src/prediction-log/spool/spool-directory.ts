/**
 * The directory of one spool: `<uuid>/<12 digits>.segment` and `lock`, an empty file that its process holds locked. Nothing
 * else that lies there, and no directory of another name, is ever opened, changed or removed.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { lstat, readdir, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { tryLock } from 'fs-native-extensions';

const LOCK = 'lock';
const DIGITS = 12;
const SPOOL_NAME = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const SEGMENT_NAME = /^[0-9]{12}\.segment$/;

export function isSpoolName(name: string): boolean {
  return SPOOL_NAME.test(name);
}

export function isSegmentName(name: string): boolean {
  return SEGMENT_NAME.test(name);
}

export function segmentPath(directory: string, sequence: number): string {
  return join(directory, `${String(sequence).padStart(DIGITS, '0')}.segment`);
}

export interface SpoolListing {
  /** Paths, oldest first. */
  segments: string[];
  /** Names of what is neither a segment nor a lock. */
  foreign: string[];
  hasLock: boolean;
}

export async function listSpool(directory: string): Promise<SpoolListing> {
  const names = await readdir(directory);
  const hasLock = names.includes(LOCK) && (await isEmptyFile(join(directory, LOCK)));
  return {
    segments: names
      .filter(isSegmentName)
      .sort()
      .map((name) => join(directory, name)),
    foreign: names.filter((name) => !isSegmentName(name) && !(name === LOCK && hasLock)),
    hasLock,
  };
}

async function isEmptyFile(path: string): Promise<boolean> {
  const stat = await lstat(path);
  return stat.isFile() && stat.size === 0;
}

/** Locks a spool directory for this process, or returns undefined when its process lives or the directory has gone. */
export function lockDirectory(directory: string): (() => void) | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(join(directory, LOCK), 'a', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    // A lock on a file that its last owner has just removed guards nothing.
    if (tryLock(descriptor) && fstatSync(descriptor).nlink > 0) return () => closeSync(descriptor);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  closeSync(descriptor);
  return undefined;
}

/** Removes a directory without segments, while it is locked. Returns the names of what is not ours, which stays with it. */
export async function removeSpool(directory: string): Promise<readonly string[]> {
  const { segments, foreign, hasLock } = await listSpool(directory);
  if (segments.length > 0) return [];
  if (hasLock) await unlink(join(directory, LOCK));
  if (foreign.length === 0) await rmdir(directory);
  return foreign;
}
