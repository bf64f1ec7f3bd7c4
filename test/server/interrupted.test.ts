/** Ctrl-C at any moment of a start: it goes to all processes of the terminal, and leaves none of ours running. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { childEnvironment, entryPoint } from '../support/server.ts';

const run = promisify(execFile);
const scripts = {
  'npm start': entryPoint,
  'npm run migrate': join(import.meta.dirname, '../../dist/scripts/migrate.js'),
};
/** A first start takes 1 to 2 s, of which initdb is most; a later one 0.3 s. */
const MOMENTS_MS = [60, 120, 180, 240, 300, 400, 600, 900, 1200, 1600];

let where: ServerDirectories;
beforeEach(async () => {
  where = await makeDirectories();
});
afterEach(() => where.remove());

/** Starts the command as the leader of a group, as a shell does. */
function start(script: string): ChildProcess {
  return spawn(process.execPath, [script], {
    env: childEnvironment({}, where),
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

async function interruptAfter(ms: number, script: string, signal: NodeJS.Signals): Promise<void> {
  const child = start(script);
  const exited = once(child, 'exit');
  await delay(ms);
  if (child.exitCode === null) process.kill(-child.pid!, signal);
  await exited;
  expect(await left(), `after ${ms} ms`).toEqual([]);
}

/** What runs or lies about because of a start that is over. */
async function left(): Promise<string[]> {
  const { stdout } = await run('ps', ['-eww', '-o', 'command=']);
  const running = stdout.split('\n').filter((command) => command.includes(where.dataDir));
  const lying = (await readdir(where.dataDir).catch(() => [])).filter((name) => name.includes('.unfinished-'));
  const pidFile = await stat(join(where.dataDir, 'postgres', 'postmaster.pid')).then(
    () => ['postmaster.pid'],
    () => [],
  );
  return [...running, ...lying, ...pidFile];
}

describe.each(Object.entries(scripts))('%s', (_, script) => {
  test('leaves nothing behind when it is interrupted while it makes, or then starts, its database', async () => {
    for (const ms of MOMENTS_MS) await interruptAfter(ms, script, 'SIGINT');
    // It is made by now; so these come while it starts.
    for (const ms of MOMENTS_MS.slice(0, 7)) await interruptAfter(ms, script, 'SIGTERM');
    const child = start(scripts['npm run migrate']);
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(await left()).toEqual([]);
  }, 120_000);
});
