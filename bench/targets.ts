/** What is measured: the built service and the baselines, each a process of its own, ended by its process id. */

import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { settingNames } from '../src/config.ts';
import { projectRoot } from '../src/project-root.ts';
import { constantAnswer } from './baselines/announce.ts';
import type { Check } from './requests.ts';

export interface StartedProcess {
  pid: number;
  /** Everything it has printed. It goes to a file: a pipe that is read late would slow the process down. */
  output(): string;
  /** The exit code, or the signal that ended it. */
  ended: Promise<number | NodeJS.Signals>;
  hasEnded(): boolean;
  stop(): Promise<void>;
}

export interface Target {
  name: string;
  url: string;
  pid: number;
  check: Check;
  /** The table in which it stores what it answers, if it does. */
  table: 'predictions' | 'hand_written' | undefined;
  /** Rows it has answered with 200 so far; Postgres must have as many. */
  answeredRows: number;
  stop(): Promise<void>;
}

/** Where a process runs: its core, and a directory for its files. */
export interface Place {
  core: number | undefined;
  root: string;
}

const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 30_000;
const living = new Set<ChildProcess>();

export const script = (path: string) => [process.execPath, join(projectRoot, 'dist', path)];

export function startProcess(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  { core, root }: Place,
): StartedProcess {
  const pinned = core === undefined ? command : ['taskset', '-c', String(core), ...command];
  const file = join(root, `${randomUUID()}.log`);
  const output = openSync(file, 'w');
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
    output: () => readFileSync(file, 'utf8'),
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

/** The service in production: every setting at its default, whatever this shell says, but for those given. */
export function productionEnvironment(settings: Record<string, string>): NodeJS.ProcessEnv {
  const defaults = Object.fromEntries(settingNames.map((name) => [name, '']));
  return { ...process.env, ...defaults, NODE_ENV: 'production', PORT: '0', DRAIN_SECONDS: '0', ...settings };
}

export async function startService(settings: Record<string, string>, place: Place, check: Check): Promise<Target> {
  const dataDir = join(place.root, `service-${randomUUID()}`);
  mkdirSync(dataDir);
  const env = productionEnvironment({ DATA_DIR: dataDir, ...settings });
  const table = settings.PREDICTION_LOG === 'off' ? undefined : 'predictions';
  const name = table ? 'the service' : 'the service without storing';
  return await whenListening(startProcess(script('src/server.js'), env, place), { name, check, table });
}

export type Baseline = 'fastify' | 'node-http' | 'hand-written';

/** tsx only removes the types when it loads: what runs is plain JavaScript. */
export async function startBaseline(
  name: Baseline,
  env: Record<string, string>,
  place: Place,
  hand: { artefact: string; check: Check },
): Promise<Target> {
  const command = [process.execPath, '--import', 'tsx', join(projectRoot, `bench/baselines/${name}.ts`), hand.artefact];
  const started = startProcess(command, { ...process.env, NODE_ENV: 'production', ...env }, place);
  const expected = JSON.stringify(constantAnswer);
  if (name !== 'hand-written') {
    return await whenListening(started, { name, check: (body) => body === expected, table: undefined });
  }
  return await whenListening(started, { name, check: hand.check, table: 'hand_written' });
}

async function whenListening(
  started: StartedProcess,
  { name, check, table }: Pick<Target, 'name' | 'check' | 'table'>,
): Promise<Target> {
  for (const deadline = Date.now() + START_LIMIT_MS; Date.now() < deadline && !started.hasEnded(); await delay(20)) {
    const lines = started.output().split('\n');
    const line = lines.find((text) => text.includes('"msg":"listening"') && text.endsWith('}'));
    if (!line) continue;
    const { url } = JSON.parse(line) as { url: string };
    return { name, url, pid: started.pid, check, table, answeredRows: 0, stop: started.stop };
  }
  throw new Error(`${name} does not listen:\n${started.output()}`);
}

/** Resident memory in MB (10^6 bytes): now, or the most it ever was; NaN where /proc does not say. */
export function residentMegabytes(pid: number, line: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return (Number(new RegExp(`${line}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024) / 1e6;
  } catch {
    return Number.NaN;
  }
}

/** User and system time of a process in seconds; Linux counts in ticks of 1/100 s (USER_HZ). NaN elsewhere. */
export function cpuSeconds(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the name in parentheses and may hold anything; utime and stime are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return Number.NaN;
  }
}
