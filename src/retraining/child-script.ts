/** Work in a child process: a heap of its own, limits of time and memory, and a crash that leaves the server alone. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { reasonOf } from '../errors.ts';
import { projectRoot } from '../project-root.ts';

const run = promisify(execFile);

const MOST_MEMORY_MB = 2_048;
const LOOK_EVERY_MS = 500;

/** Runs a command of scripts/ in a process of its own, as this one runs: the same Node, the same flags, src or dist. Rejects as `runLimited`. */
export function runScript(name: string, options: readonly string[], signal: AbortSignal): Promise<string> {
  const script = extname(import.meta.url) === '.ts' ? `scripts/${name}.ts` : `dist/scripts/${name}.js`;
  return runLimited([join(projectRoot, script), ...options], { signal, memoryMb: memoryLimitMb() });
}

/** Half of what there is, of the machine or of the container, and no more than a training of 100,000 rows needs. */
function memoryLimitMb(): number {
  // 0 where there is no limit.
  const bytes = process.constrainedMemory() || totalmem();
  return Math.min(MOST_MEMORY_MB, Math.floor(Math.min(bytes, totalmem()) / 2 ** 21));
}

export interface Limits {
  /** Aborting it kills the process. */
  signal: AbortSignal;
  memoryMb: number;
}

/**
 * Runs a script with Node and returns what it prints. Rejects with the reason of the signal, or with a sentence: what it says on
 * standard error, which signal has ended it, or that it took more memory than it may.
 */
export async function runLimited(args: readonly string[], { signal, memoryMb }: Limits): Promise<string> {
  const running = run(process.execPath, [...process.execArgv, `--max-old-space-size=${memoryMb}`, ...args], {
    signal,
    killSignal: 'SIGKILL',
  });
  const { child } = running;
  let isTooLarge = false;
  // Matrices and the runtime's memory are outside of the heap.
  const watch = setInterval(async () => {
    if ((await residentMb(child.pid)) <= memoryMb) return;
    isTooLarge = true;
    child.kill('SIGKILL');
  }, LOOK_EVERY_MS);
  try {
    return (await running).stdout;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const { stderr = '', signal: ended } = error as { stderr?: string; signal?: NodeJS.Signals | null };
    if (isTooLarge || stderr.includes('heap out of memory')) throw new Error(tooLarge(memoryMb));
    if (ended) throw new Error(`It was ended by ${ended}; the system may be short of memory.`);
    throw new Error(stderr.trim() || reasonOf(error));
  } finally {
    clearInterval(watch);
  }
}

function tooLarge(memoryMb: number): string {
  return `It took more than ${memoryMb} MB of memory, and was ended. Train by hand, or on less: RETRAIN_DATA=shipped.`;
}

/** 0 where it is not known: it has ended, or this is no Linux. */
async function residentMb(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
}
