import { appendFileSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDeadLetters, type DeadLetters } from '../../../src/prediction-log/relay/dead-letters.ts';
import { makeDirectory } from '../../support/directory.ts';

let root: string;
let deadLetters: DeadLetters;

beforeEach(async () => {
  root = await makeDirectory('dead-letters');
  deadLetters = createDeadLetters(root);
});
afterEach(() => rm(root, { recursive: true }));

const lines = (): unknown[] =>
  readFileSync(deadLetters.path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      try {
        return JSON.parse(line);
      } catch {
        return line;
      }
    });

test('a record has a line with the time, the reason and its columns', async () => {
  await deadLetters.add({ record: { id: 'a', crim: 1 } }, 'violates a constraint');
  expect(lines()).toEqual([{ at: expect.any(String), reason: 'violates a constraint', record: { id: 'a', crim: 1 } }]);
  expect(deadLetters.count()).toBe(1);
});

test('a line that was cut short swallows none that follows', async () => {
  await deadLetters.add({ record: { id: 'a' } }, 'one');
  appendFileSync(deadLetters.path, '{"at":"2026-11-26","record":{');
  await deadLetters.add({ record: { id: 'b' } }, 'two');
  expect(lines()).toMatchObject([{ reason: 'one' }, '{"at":"2026-11-26","record":{', { reason: 'two' }]);
});

test('damage of megabytes has lines that can be looked at, and none of it is left out', async () => {
  const bytes = Buffer.alloc(700_000, 'x');
  await deadLetters.add({ bytes }, 'the checksum does not fit');
  const written = lines() as { bytes: string }[];
  expect(deadLetters.count()).toBe(written.length);
  for (const line of written) expect(line.bytes.length).toBeLessThan(400_000);
  expect(Buffer.concat(written.map((line) => Buffer.from(line.bytes, 'base64'))).equals(bytes)).toBe(true);
});

test('many at once, of several processes, are whole lines', async () => {
  const others = [deadLetters, createDeadLetters(root), createDeadLetters(root)];
  const record = { text: 'x'.repeat(5_000) };
  await Promise.all(Array.from({ length: 30 }, (_, i) => others[i % 3]!.add({ record }, String(i))));
  expect((lines() as { reason: string }[]).map(({ reason }) => Number(reason)).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 30 }, (_, i) => i),
  );
});
