/** The demo as its user runs it: the story is there with its numbers, and nothing is left behind. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { blocksOf } from '../support/markdown.ts';

const run = promisify(execFile);
const script = join(import.meta.dirname, '../../dist/scripts/demo.js');

test('the service notices that the world has changed, learns, proves it, and recovers', {
  timeout: 400_000,
}, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ridgeline-of-demo-'));
  // A database that nobody may touch.
  const env = { ...process.env, TMPDIR: directory, DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', NODE_ENV: '' };
  const { stdout, stderr } = await run(process.execPath, [script], { env });
  expect(stderr).toBe('');
  expect(await readdir(directory)).toEqual([]);
  await rm(directory, { recursive: true });

  // Its numbers are the same each time, and README shows the last of them.
  const readme = await readFile(join(import.meta.dirname, '../../README.md'), 'utf8');
  expect(stdout).toContain(
    blocksOf(readme, 'text')
      .find((block) => block.includes('without learning'))!
      .trim(),
  );

  const lines = stdout.trim().split('\n');
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(120);
  const place = (pattern: RegExp) => lines.findIndex((line) => pattern.test(line));
  const changes = place(/Rooms become dear/);
  const held = place(
    /training held: not proven better, RMSE \d\.\d\d against \d\.\d\d on \d+ new truths, p 0\.\d+ at 0\.025/,
  );
  const promoted = place(/training promoted: better, RMSE \d\.\d\d against \d\.\d\d on \d+ new truths/);
  expect(held).toBeGreaterThan(0);
  expect(changes).toBeGreaterThan(0);
  // Unproven before the change, proven after it.
  expect(promoted).toBeGreaterThan(changes);
  for (const kind of ['quality', 'coverage', 'drift'])
    expect(place(new RegExp(`ALARM ${kind}`))).toBeGreaterThan(changes);

  const period = (name: string) => {
    const [, rmse, share] = new RegExp(`^${name} +(\\d\\.\\d\\d) +(\\d+ %|-)$`, 'm').exec(stdout)!;
    return { rmse: Number(rmse), share: Number.parseInt(share!, 10) };
  };
  const [before, changing, after] = ['before', 'while rooms became dear', 'at the end'].map(period);
  const never = period('at the end, without learning');
  expect(changing!.rmse).toBeGreaterThan(before!.rmse + 1);
  expect(after!.rmse).toBeLessThan(changing!.rmse - 0.7);
  expect(after!.rmse).toBeLessThan(never.rmse - 2);
  expect(before!.share).toBeGreaterThanOrEqual(88);
  expect(changing!.share).toBeLessThanOrEqual(86);
  expect(after!.share).toBeGreaterThanOrEqual(88);
  const [, answered, stored] = /(\d+) predictions answered, (\d+) stored/.exec(lines.at(-1)!)!;
  expect(stored).toBe(answered);
});
