/** The real server process, as `npm start` runs it after its build, on a free port with directories of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll } from 'vitest';
import type { ServerDirectories } from './directory.ts';

export const entryPoint = join(import.meta.dirname, '../../dist/src/server.js');
/** The server as `npm run dev` runs it, with its libraries where they are installed. */
export const sourceEntryPoint = join(import.meta.dirname, '../../src/server.ts');
export const trainScript = join(import.meta.dirname, '../../dist/scripts/train.js');

export interface ServerProcess {
  url: string;
  /** Of the admin port, where ADMIN_PORT is among the settings. */
  adminUrl: string | undefined;
  process: ChildProcess;
  /** Everything it has printed. */
  output(): string;
  /** Its log lines, parsed. */
  logs(): Record<string, unknown>[];
  /** Sends the signal and waits for the end; returns the exit code, or the signal that killed it. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>;
}

/** The environment of a child: ours without settings that would leak in, with those given. */
export function childEnvironment(settings: Record<string, string>, directories: ServerDirectories): NodeJS.ProcessEnv {
  const { DATABASE_URL: _ours, NODE_ENV: _test, ...inherited } = process.env;
  return {
    ...inherited,
    PORT: '0',
    // Nothing stands before these servers that would have to learn of their end.
    DRAIN_SECONDS: '0',
    DATA_DIR: directories.dataDir,
    MODELS_DIR: directories.modelsDir,
    ...settings,
  };
}

/** A test that fails may not come to the end of its servers: none outlives the file. */
const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
});

/** Starts the server and waits until it listens, with all of its workers. Rejects with its output when it ends instead. */
export async function startServer(
  settings: Record<string, string>,
  directories: ServerDirectories,
  script = entryPoint,
): Promise<ServerProcess> {
  if (!existsSync(entryPoint)) throw new Error('Run npm run build first: these tests start the built server.');
  const command = script.endsWith('.ts') ? ['--import', 'tsx', script] : [script];
  const child = spawn(process.execPath, command, {
    env: childEnvironment(settings, directories),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let output = '';
  const collect = (chunk: Buffer) => {
    output += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const logs = () =>
    output
      .split('\n')
      .filter((line) => line.startsWith('{"level"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;

  const deadline = Date.now() + 30_000;
  let line: { url?: string; adminUrl?: string } | undefined;
  const workers = Number(settings.WORKERS ?? 1);
  const missesWorkers = () => workers > 1 && logs().filter(({ msg }) => msg === 'a worker listens').length < workers;
  while (!line || missesWorkers()) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`The server ended:\n${output}`);
    if (Date.now() > deadline) throw new Error(`The server does not listen:\n${output}`);
    await delay(10);
    line = logs().find(({ msg }) => msg === 'listening');
  }
  return {
    url: line.url!,
    adminUrl: line.adminUrl,
    process: child,
    output: () => output,
    logs,
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      const [code, killedBy] = await exited;
      return code ?? killedBy!;
    },
  };
}
