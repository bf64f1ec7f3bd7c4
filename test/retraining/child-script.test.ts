/** What becomes of a child that does not end well, with real processes. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runLimited } from '../../src/retraining/child-script.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ridgeline-child-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function run(script: string, { signal = new AbortController().signal, memoryMb = 300 } = {}): Promise<string> {
  const path = join(directory, `${script.length}.mjs`);
  await writeFile(path, script);
  return await runLimited([path, 'an argument'], { signal, memoryMb });
}

test('one that ends well gives what it prints', async () => {
  expect(await run('console.log(process.argv[2])')).toBe('an argument\n');
});

test('one that fails gives what it says', async () => {
  await expect(run('console.error("The file is not there."); process.exit(1)')).rejects.toThrow(
    /^The file is not there\.$/,
  );
});

test('one that hangs is killed, for the reason of the signal', async () => {
  const hanging = new AbortController();
  const running = run('setInterval(() => {}, 1000); console.log("here")', { signal: hanging.signal });
  hanging.abort(new Error('It had not ended after 15 minutes, and was killed.'));
  await expect(running).rejects.toThrow('It had not ended after 15 minutes, and was killed.');
});

test('one that somebody kills says which signal it was', async () => {
  await expect(run('process.kill(process.pid, "SIGKILL"); setInterval(() => {}, 1000)')).rejects.toThrow(
    'It was ended by SIGKILL; the system may be short of memory.',
  );
});

const tooMuch =
  /^It took more than 150 MB of memory, and was ended\. Train by hand, or on less: RETRAIN_DATA=shipped\.$/;

test('one whose heap grows too large ends with a sentence, not with a trace', async () => {
  const script = 'const all = []; for (;;) all.push({ value: Math.random() })';
  await expect(run(script, { memoryMb: 150 })).rejects.toThrow(tooMuch);
});

test.runIf(process.platform === 'linux')('one whose matrices grow too large does too', async () => {
  const script = 'const all = []; setInterval(() => all.push(Buffer.alloc(20e6, 1)), 20)';
  await expect(run(script, { memoryMb: 150 })).rejects.toThrow(tooMuch);
});
