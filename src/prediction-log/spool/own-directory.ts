/**
 * The spool directory of this process: made by the first segment that needs it, and again when somebody has removed it, so
 * that a disk which is full or broken at the start is no reason not to start.
 */
import { createSegmentFile, type SegmentFile } from './segment-file.ts';
import {
  type Claim,
  claimDirectory,
  isGone,
  type Lock,
  lockDirectory,
  removeSpool,
  segmentPath,
} from './spool-directory.ts';

export interface OwnDirectory {
  /** Undefined while there is none. */
  path(): string | undefined;
  /** Makes the file of the next segment with its header. Throws what the disk says, and leaves nothing behind. */
  createFile(header: Buffer): { path: string; file: SegmentFile };
  /** Whether another process may adopt what is there, as the lock was removed and cannot be had again. */
  isLost(): boolean;
  /** Leaves it to be adopted; the next segment gets another one. */
  abandon(): void;
  /** Frees it, and removes it where it is empty. */
  close(isEmpty: boolean): Promise<void>;
}

export interface OwnDirectoryOptions {
  root: string;
  fsync: boolean;
}

export function createOwnDirectory({ root, fsync }: OwnDirectoryOptions): OwnDirectory {
  let claim: Claim | undefined;
  let sequence = 0;

  function createFile(header: Buffer): { path: string; file: SegmentFile } {
    const isNew = !claim;
    claim ??= claimDirectory(root, fsync);
    const path = segmentPath(claim.directory, ++sequence);
    try {
      return { path, file: createSegmentFile(path, header, claim.directory, fsync) };
    } catch (error) {
      if (isNew || !isGone(error)) throw error;
      abandon();
      return createFile(header);
    }
  }

  function abandon(): void {
    claim?.lock.release();
    claim = undefined;
  }

  return {
    path: () => claim?.directory,
    createFile,
    isLost() {
      if (!claim?.lock.isGone()) return false;
      const lock = lockIfPossible(claim.directory);
      if (!lock) return true;
      claim.lock.release();
      claim = { ...claim, lock };
      return false;
    },
    abandon,
    async close(isEmpty) {
      // The next process removes what cannot be removed now.
      if (claim && isEmpty) await removeSpool(claim.directory).catch(() => undefined);
      abandon();
    },
  };
}

function lockIfPossible(directory: string): Lock | undefined {
  try {
    return lockDirectory(directory);
  } catch {
    return undefined;
  }
}
