import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createClosers } from '../src/closers.ts';

const forEver = () => new Promise(() => undefined);

test('closes the last opened first, each after the other', async () => {
  const closers = createClosers();
  const order: string[] = [];
  closers.push(() => order.push('first'));
  closers.push(async () => {
    await delay(20);
    order.push('second');
  });
  await closers.closeAll(1000);
  expect(order).toEqual(['second', 'first']);
});

test('keeps within its time, and closes the others, when one hangs, one fails and one throws', async () => {
  const closers = createClosers();
  const failures: unknown[] = [];
  const given: number[] = [];
  closers.push((withinMs) => given.push(withinMs));
  closers.push(forEver);
  closers.push(() => Promise.reject(new Error('fails')));
  closers.push(() => {
    throw new Error('throws');
  });
  closers.push((withinMs) => given.push(withinMs), 0.8);
  await closers.closeAll(100, (error) => failures.push((error as Error).message));
  expect(failures).toEqual(['throws', 'fails', expect.stringMatching(/^not closed within \d+ ms$/)]);
  expect(given[0]).toBeLessThanOrEqual(80);
  // The one that hangs has been waited for, for half of what was left.
  expect(given[1]).toBeLessThan(given[0]!);
});

test('closes what is still being opened when the end comes, and what comes after it', async () => {
  const closers = createClosers();
  const closed: string[] = [];
  const opening = delay(30).then(() => 'slow');
  const opened = closers.open(opening, (what) => closed.push(what));
  const refused = closers.open(Promise.reject(new Error('cannot be opened')), () => closed.push('never'));
  await expect(refused).rejects.toThrow('cannot be opened');
  const closing = closers.closeAll(1000);
  closers.push(() => closed.push('late'));
  await closing;
  expect(await opened).toBe('slow');
  expect(closed).toEqual(['late', 'slow']);
  closers.push(() => closed.push('too late'));
  await closers.closeAll(1000);
  expect(closed).toEqual(['late', 'slow', 'too late']);
});
