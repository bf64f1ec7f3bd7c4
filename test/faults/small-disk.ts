/** A file system of 1 MiB under the spool. Mounting needs root on Linux; elsewhere `mountSmallDisk` is undefined. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import type { ServerDirectories } from '../support/directory.ts';

/** Mounts it at DATA_DIR, and returns what unmounts it. */
export const mountSmallDisk = process.platform === 'linux' && process.getuid?.() === 0 ? mount : undefined;

async function mount({ dataDir }: ServerDirectories): Promise<() => void> {
  await mkdir(dataDir, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dataDir]);
  return () => {
    execFileSync('umount', ['-l', dataDir]);
  };
}

/** Takes all the room that is left on the disk of this file. */
export function fillUp(path: string): undefined {
  const descriptor = openSync(path, 'w');
  try {
    for (const piece of [65_536, 4_096]) writeUntilFull(descriptor, Buffer.alloc(piece));
  } finally {
    closeSync(descriptor);
  }
}

function writeUntilFull(descriptor: number, bytes: Buffer): void {
  try {
    while (writeSync(descriptor, bytes) > 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}
