import { execFileSync } from 'node:child_process';

/** The process ids of the workers of a primary, the oldest first; throws when it has none. */
export function workersOf({ pid }: { pid?: number | undefined }): number[] {
  return execFileSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map(Number);
}
