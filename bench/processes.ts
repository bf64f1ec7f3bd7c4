/** Processes on a chosen core, ended by the pid they were started with, and what Linux tells about them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export interface StartedProcess {
  pid: number;
  /** Everything it has printed. It goes to a file: a pipe that is read late would slow the process down. */
  output(): string;
  /** The exit code, or the signal that ended it. */
  ended: Promise<number | NodeJS.Signals>;
  hasEnded(): boolean;
  stop(): Promise<void>;
}

export interface ProcessOptions {
  /** The only core it may use; undefined: those of this process. A list such as "0-1" is a taskset list. */
  core: number | string | undefined;
  env: NodeJS.ProcessEnv;
  outputFile: string;
}

const STOP_LIMIT_MS = 30_000;
const living = new Set<ChildProcess>();

export function startProcess(command: readonly string[], { core, env, outputFile }: ProcessOptions): StartedProcess {
  const pinned = core === undefined ? command : ['taskset', '-c', String(core), ...command];
  const output = openSync(outputFile, 'w');
  // taskset replaces itself by the command, so this is the command's pid.
  const child = spawn(pinned[0]!, pinned.slice(1), { env, stdio: ['ignore', output, output] });
  closeSync(output);
  living.add(child);
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const ended = once(child, 'exit').then(([code, signal]) => {
    living.delete(child);
    return (code ?? signal) as number | NodeJS.Signals;
  });
  return {
    pid: child.pid!,
    output: () => readFileSync(outputFile, 'utf8'),
    ended,
    hasEnded,
    async stop() {
      if (!hasEnded()) child.kill('SIGTERM');
      const stopped = await Promise.race([ended, delay(STOP_LIMIT_MS, undefined, { ref: false })]);
      if (stopped === undefined) child.kill('SIGKILL');
    },
  };
}

/** Ends what still runs, for when the benchmark itself ends early. */
export function killStarted(): void {
  for (const child of living) child.kill('SIGKILL');
}

/** Linux counts processor time in ticks of 1/100 s, whatever the kernel's own clock is (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** The processor time that a process has used, user and system, in seconds; NaN where /proc does not say. */
export function cpuSeconds(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the name in parentheses and may hold anything; utime and stime are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return Number.NaN;
  }
}

/** Resident memory in MB (10^6 bytes): now (`VmRSS`), or the most it ever was (`VmHWM`); NaN when it is not known. */
export function residentMegabytes(pid: number, line: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  try {
    const kilobytes = new RegExp(`${line}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return (Number(kilobytes) * 1024) / 1e6;
  } catch {
    return Number.NaN;
  }
}
