/**
 * The directory of one spool: `<uuid>/<12 digits>.segment` and `lock`, an empty file that its process holds locked. Nothing
 * else that lies there, and no directory of another name, is ever opened, changed or removed.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, mkdirSync, openSync, rmdirSync } from 'node:fs';
import { lstat, readdir, rmdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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

export interface Lock {
  /** Whether its file was removed: then it keeps nobody out. */
  isGone(): boolean;
  release(): void;
}

/** Locks a spool directory for this process, or returns undefined when its process lives or the directory has gone. */
export function lockDirectory(directory: string): Lock | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(join(directory, LOCK), 'a', 0o600);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
  const lock = { isGone: () => fstatSync(descriptor).nlink === 0, release: () => closeSync(descriptor) };
  try {
    // A lock on a file that its last owner has just removed guards nothing.
    if (tryLock(descriptor) && !lock.isGone()) return lock;
  } catch (error) {
    lock.release();
    throw error;
  }
  lock.release();
  return undefined;
}

export interface Claim {
  directory: string;
  lock: Lock;
}

/** Another process may adopt a directory in the instant before it is locked, but not time and again. */
const CLAIM_ATTEMPTS = 100;

/** Makes a directory for this process; with `fsync` one that a power loss does not take away. Throws what the disk says. */
export function claimDirectory(root: string, fsync: boolean): Claim {
  for (let attempt = 0; attempt < CLAIM_ATTEMPTS; attempt++) {
    const directory = join(root, randomUUID());
    makeDirectory(directory, fsync);
    const lock = lockNew(directory);
    if (!lock) continue;
    // The process that has made the root may not have synced it yet.
    if (fsync) for (const parent of [root, dirname(root)]) syncDirectory(parent);
    return { directory, lock };
  }
  throw new Error(`Other processes take every new directory in ${root}`);
}

function lockNew(directory: string): Lock | undefined {
  try {
    return lockDirectory(directory);
  } catch (error) {
    rmdirSync(directory);
    throw error;
  }
}

/** One level after the other, as Node's `recursive` takes a full disk for a missing parent. */
function makeDirectory(path: string, fsync: boolean): void {
  try {
    makeUnlessThere(path);
  } catch (error) {
    if (!isGone(error) || dirname(path) === path) throw error;
    makeDirectory(dirname(path), fsync);
    makeUnlessThere(path);
  }
  if (fsync) syncDirectory(dirname(path));
}

/** Another worker may make the same one at any moment. */
function makeUnlessThere(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

export function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

export function isGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

/** Removes a directory without segments, while it is locked. Returns the names of what is not ours, which stays with it. */
export async function removeSpool(directory: string): Promise<readonly string[]> {
  const { segments, foreign, hasLock } = await listSpool(directory);
  if (segments.length > 0) return [];
  if (hasLock) await unlink(join(directory, LOCK));
  if (foreign.length === 0) await rmdir(directory);
  return foreign;
}
