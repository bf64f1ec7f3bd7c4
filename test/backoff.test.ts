import { expect, test } from 'vitest';
import { createBackoff } from '../src/backoff.ts';

test('pauses double up to the longest, and begin anew after a reset', () => {
  const backoff = createBackoff({ firstMs: 100, longestMs: 500 });
  expect([1, 2, 3, 4, 5].map(() => backoff.next())).toEqual([100, 200, 400, 500, 500]);
  backoff.reset();
  expect(backoff.next()).toBe(100);
});

test('jitter makes a pause longer or shorter by its share at most, and does not add up', () => {
  const backoff = createBackoff({ firstMs: 100, longestMs: 100, jitter: 0.25 });
  const pauses = Array.from({ length: 1000 }, () => backoff.next());
  for (const pause of pauses) expect(Math.abs(pause - 100)).toBeLessThanOrEqual(25);
  expect(Math.max(...pauses)).toBeGreaterThan(110);
  expect(Math.min(...pauses)).toBeLessThan(90);
});
