import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeDirectory } from './support/directory.ts';
import { eventually } from './support/eventually.ts';

let directory: string;
beforeAll(async () => {
  directory = await makeDirectory('line-sink');
});
afterAll(() => rm(directory, { recursive: true }));

/** A process that writes lines to a sink, says on standard error when it has, and ends when its input does. */
const WRITER = `
  import { createLineSink } from ${JSON.stringify(join(import.meta.dirname, '../src/line-sink.ts'))};
  const [lines, length] = process.argv.slice(-2).map(Number);
  const sink = createLineSink(1, (count) => 'left out ' + count + '\\n');
  for (let i = 0; i < lines; i++) sink.write(i + ' '.padEnd(length, 'x') + '\\n');
  process.stderr.write('dropped ' + sink.dropped());
  process.stdin.resume().on('end', () => process.exit(0));
`;

function startWriter(stdout: number, { lines, length }: { lines: number; length: number }) {
  const args = ['--import', 'tsx', '--input-type=module', '-e', WRITER, '--', String(lines), String(length)];
  const child = spawn(process.execPath, args, {
    stdio: ['pipe', stdout, 'pipe'],
    cwd: join(import.meta.dirname, '..'),
  });
  let told = '';
  child.stderr!.on('data', (chunk: Buffer) => (told += chunk.toString()));
  const ended = once(child, 'exit') as Promise<[number]>;
  return {
    written: async () => Number(await eventually(async () => /dropped (\d+)/.exec(told)?.[1])),
    async end() {
      child.stdin!.end();
      return (await ended)[0];
    },
  };
}

/** The same where standard output is a socket, after a process that shared it has started and ended. */
const SHARER = `
  import { spawnSync } from 'node:child_process';
  import { createLineSink } from ${JSON.stringify(join(import.meta.dirname, '../src/line-sink.ts'))};
  const sink = createLineSink(1);
  sink.write('first\\n');
  spawnSync(process.execPath, ['-e', 'process.stdout.write("")'], { stdio: 'inherit' });
  for (let i = 0; i < 4_000; i++) sink.write(''.padEnd(1_000, 'x') + '\\n');
  process.stderr.write('dropped ' + sink.dropped());
  process.exit(0);
`;

/** A pipe with a name; nobody reads from it until `read` is called. */
function makePipe(name: string) {
  const path = join(directory, name);
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  const buffer = Buffer.alloc(65_536);
  return {
    reader,
    writer,
    read(): string {
      let text = '';
      try {
        for (let size = readSync(reader, buffer); size > 0; size = readSync(reader, buffer)) {
          text += buffer.toString('utf8', 0, size);
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      }
      return text;
    },
  };
}

test('keeps what a stalled reader leaves, drops beyond the bound, and tells how much when it reads again', async () => {
  const pipe = makePipe('stalled');
  const writer = startWriter(pipe.writer, { lines: 4_000, length: 1_000 });
  const dropped = await writer.written();
  expect(dropped).toBeGreaterThan(2_000);
  let text = '';
  await eventually(async () => {
    text += pipe.read();
    return text.includes('left out');
  });
  expect(await writer.end()).toBe(0);
  const lines = text.trimEnd().split('\n');
  expect(lines.pop()).toBe(`left out ${dropped}`);
  expect(lines.map((line) => Number.parseInt(line, 10))).toEqual(lines.map((_, i) => i));
  expect(lines.filter((line) => line.length < 1_000)).toEqual([]);
});

test('does not hold the exit for a reader that takes nothing, nor fail for one that has gone', async () => {
  const stalled = makePipe('stalled at the exit');
  const first = startWriter(stalled.writer, { lines: 1_000, length: 1_000 });
  await first.written();
  expect(await first.end()).toBe(0);
  const gone = makePipe('gone');
  const second = startWriter(gone.writer, { lines: 10, length: 10 });
  closeSync(gone.reader);
  await second.written();
  expect(await second.end()).toBe(0);
});

test('does not wait for the reader of a socket, though a child that shares it has made it wait', async () => {
  const args = ['--import', 'tsx', '--input-type=module', '-e', SHARER];
  // What Node calls a pipe is a socket; nobody reads this one.
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: join(import.meta.dirname, '..'),
  });
  child.stdout.pause();
  let told = '';
  child.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()));
  try {
    await eventually(async () => child.exitCode === 0);
  } finally {
    child.kill('SIGKILL');
  }
  expect(Number(/dropped (\d+)/.exec(told)?.[1])).toBeGreaterThan(2_000);
});

test('does not mix the lines of processes that share a pipe, however slowly it is read', async () => {
  const pipe = makePipe('shared');
  const writers = [1, 2, 3].map(() => startWriter(pipe.writer, { lines: 300, length: 900 }));
  await Promise.all(writers.map(({ written }) => written()));
  let text = '';
  await eventually(async () => {
    text += pipe.read();
    return text.split('\n').length > 900;
  });
  for (const { end } of writers) expect(await end()).toBe(0);
  expect(text.split('\n').filter((line) => line !== '' && !/^\d+ x+$/.test(line))).toEqual([]);
});

test('loses no line of a file when the process ends at once', async () => {
  const path = join(directory, 'file');
  const file = openSync(path, 'w');
  const writer = startWriter(file, { lines: 2_000, length: 200 });
  expect(await writer.end()).toBe(0);
  closeSync(file);
  const numbers = readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => Number.parseInt(line, 10));
  expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: 2_000 }, (_, i) => i));
});
