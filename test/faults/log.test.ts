/** A log that cannot be written: the service starts, answers, stores and ends as if it could. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, createReadStream, openSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/free-port.ts';
import { createTestDatabase } from '../support/database.ts';
import { makeDirectories, makeDirectory } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { childEnvironment, entryPoint } from '../support/server.ts';
import { inForm } from './form.ts';
import { startLoad } from './load.ts';
import { reportFault } from './report.ts';
import { expectNothingLost, storedWithin } from './verification.ts';

const LOAD_MS = inForm(3_000, 20_000);
const isLinux = process.platform === 'linux';

interface Sink {
  /** The descriptor, or what spawn makes one of. */
  stdout: number | 'pipe';
  /** From now on what is written can be taken; resolves with all of it, once the service has ended. */
  mend?: (ended: Promise<unknown>) => Promise<string>;
}

async function makeOwnDirectory(): Promise<string> {
  const directory = await makeDirectory('log');
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

/** A pipe of the kernel, with its reading end. */
async function makePipe(): Promise<{ reader: number; stdout: number; path: string }> {
  const path = join(await makeOwnDirectory(), 'pipe');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { reader, stdout: openSync(path, constants.O_WRONLY), path };
}

const sinks: Record<string, () => Promise<Sink>> = {
  'a full device': async () => ({ stdout: openSync('/dev/full', 'w') }),
  'a pipe whose reader has gone': async () => {
    const { reader, stdout } = await makePipe();
    closeSync(reader);
    return { stdout };
  },
  'a pipe that nobody reads': async () => {
    const { stdout, path } = await makePipe();
    return {
      stdout,
      async mend(ended) {
        const text = readAll(createReadStream(path));
        await ended;
        closeSync(stdout);
        return text;
      },
    };
  },
  'a socket that nobody reads': async () => ({ stdout: 'pipe' }),
  ...(isLinux && process.getuid?.() === 0 && { 'a file on a full disk': fileOnFullDisk }),
};

async function fileOnFullDisk(): Promise<Sink> {
  const directory = await makeOwnDirectory();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory]);
  onTestFinished(() => void execFileSync('umount', ['-l', directory]));
  const path = join(directory, 'log');
  return {
    stdout: openSync(path, 'a'),
    async mend(ended) {
      execFileSync('mount', ['-o', 'remount,size=64m', directory]);
      await ended;
      return readFileSync(path, 'utf8');
    },
  };
}

describe.runIf(isLinux)('standard output is', () => {
  const cases = Object.keys(sinks).flatMap((name) => inForm(['1'], ['1', '2']).map((workers) => ({ name, workers })));
  test.for([...cases, { name: 'a pipe that nobody reads', workers: '3' }])(
    '$name, with $workers workers: starts, answers, stores and ends; tells what was left out',
    async ({ name, workers }) => {
      const database = await createTestDatabase();
      const directories = await makeDirectories();
      onTestFinished(async () => {
        await directories.remove();
        await database.drop();
      });
      const { stdout, mend } = await sinks[name]!();
      const port = await freePort();
      // A line for every request, so that the bound is reached.
      const settings = { DATABASE_URL: database.url, PORT: String(port), WORKERS: workers, LOG_LEVEL: 'debug' };
      const env = childEnvironment(settings, directories);
      const child = spawn(process.execPath, [entryPoint], { env, stdio: ['ignore', stdout, 'inherit'] });
      onTestFinished(() => void child.kill('SIGKILL'));
      const ended = once(child, 'exit') as Promise<[number]>;

      const url = `http://127.0.0.1:${port}`;
      await eventually(async () => (await fetch(`${url}/readyz`)).ok, 20_000);
      const load = startLoad({ url, connections: 8 });
      await delay(LOAD_MS);
      const mended = mend?.(ended);
      await delay(1_500);
      await load.stop();
      expect((await fetch(`${url}/livez`)).status).toBe(200);
      child.kill('SIGTERM');
      const [code] = await ended;
      const stored = await storedWithin(database, load.answers, 20_000);
      const lines =
        (await mended)
          ?.trimEnd()
          .split('\n')
          .filter((line) => line.startsWith('{')) ?? [];
      const messages = lines.flatMap((line) => messageOf(line) ?? []);
      // Each is whole, but where the disk ended in the middle of one and another process went on behind it in the same file.
      const cut = name === 'a file on a full disk' ? Number(workers) : 0;
      expect(lines.length - messages.length).toBeLessThanOrEqual(cut);
      const left = messages.filter((message) => /^\d+ log lines could not be written$/.test(message));
      reportFault({
        fault: `log: standard output is ${name}, ${workers} workers`,
        load: '8 connections, closed loop',
        requests: load.requests(),
        failures: load.failures.length,
        stored,
        note: `exit ${code}${mended ? `; ${lines.length} lines written, then told: ${left.join(', ') || 'nothing left out'}` : ''}`,
      });
      expect(code).toBe(0);
      expect(load.failures.slice(0, 3)).toEqual([]);
      expectNothingLost(stored);
      if (mended) expect(messages).toContain('ended');
    },
  );
});

function messageOf(line: string): string | undefined {
  try {
    return (JSON.parse(line) as { msg: string }).msg;
  } catch {
    return undefined;
  }
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk.toString();
  return text;
}
