/** What is measured: the built service, and the baselines it is compared with, each a process of its own. */
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { projectRoot, settingNames } from '../src/config.ts';
import { constantAnswer } from './baseline-answer.ts';
import { type StartedProcess, startProcess } from './processes.ts';
import type { Check } from './questions.ts';

export interface Target {
  name: string;
  url: string;
  pid: number;
  check: Check;
  /** Whether it stores what it answers. */
  stores: boolean;
  /** Rows it has answered with 200 so far; the load counts them, and Postgres must have as many. */
  answeredRows: number;
  stop(): Promise<void>;
}

export const serverScript = join(projectRoot, 'dist/src/server.js');
export const trainScript = join(projectRoot, 'dist/scripts/train.js');

/**
 * The environment of the service in production: every setting at its default, whatever this shell or an .env file say,
 * but for those given.
 */
export function productionEnvironment(settings: Record<string, string>): NodeJS.ProcessEnv {
  const defaults = Object.fromEntries(settingNames.map((name) => [name, '']));
  return { ...process.env, ...defaults, NODE_ENV: 'production', PORT: '0', ...settings };
}

export interface PlaceOptions {
  /** The only core it may use, or a list of cores for taskset. */
  core: number | string | undefined;
  /** A directory for its files. */
  root: string;
}

/** Starts the service with a data directory of its own and waits until it listens. */
export async function startService(
  settings: Record<string, string>,
  { core, root }: PlaceOptions,
  check: Check,
): Promise<Target> {
  const dataDir = join(root, `service-${randomUUID()}`);
  await mkdir(dataDir);
  const started = startProcess([process.execPath, serverScript], {
    core,
    env: productionEnvironment({ DATA_DIR: dataDir, ...settings }),
    outputFile: join(dataDir, 'output.log'),
  });
  const stores = settings.PREDICTION_LOG !== 'off';
  return targetOf(started, stores ? 'the service' : 'the service without storing', { check, stores });
}

/** Starts bench/baseline-<name>.ts. tsx only removes the types when it loads: what runs is plain JavaScript. */
export async function startBaseline(name: 'fastify' | 'http', { core, root }: PlaceOptions): Promise<Target> {
  const started = startProcess(
    [process.execPath, '--import', 'tsx', join(projectRoot, `bench/baseline-${name}.ts`)],
    // Fastify and others look at NODE_ENV too.
    { core, env: { ...process.env, NODE_ENV: 'production' }, outputFile: join(root, `${name}-${randomUUID()}.log`) },
  );
  const expected = JSON.stringify(constantAnswer);
  return targetOf(started, `the baseline (${name})`, { check: (body) => body === expected, stores: false });
}

async function targetOf(
  started: StartedProcess,
  name: string,
  { check, stores }: Pick<Target, 'check' | 'stores'>,
): Promise<Target> {
  const url = await listening(started, name);
  return { name, url, pid: started.pid, check, stores, answeredRows: 0, stop: started.stop };
}

const START_LIMIT_MS = 30_000;

/** The URL that the process prints once it listens. */
async function listening(started: StartedProcess, name: string): Promise<string> {
  const deadline = Date.now() + START_LIMIT_MS;
  while (Date.now() < deadline && !started.hasEnded()) {
    const line = started
      .output()
      .split('\n')
      .find((text) => text.includes('"msg":"listening"') && text.endsWith('}'));
    if (line) return (JSON.parse(line) as { url: string }).url;
    await delay(20);
  }
  throw new Error(`${name} does not listen:\n${started.output()}`);
}
