import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createSegment, sinceStart } from '../../../src/prediction-log/spool/segment.ts';
import { makeColumns } from '../batches.ts';

const HOUR_MS = 3_600_000;
const columns = makeColumns();

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test.each([HOUR_MS, -HOUR_MS])('a wall clock that is set by %i ms makes no record older or younger', (step) => {
  const segment = createSegment({ path: '1.segment', columns, writtenBytes: 10 });
  const begin = performance.now();
  segment.appended({ bytes: 100, rows: 2, at: performance.now() });
  const newestAt = Date.now();
  vi.setSystemTime(Date.now() + step);
  segment.appended({ bytes: 100, rows: 2, at: performance.now() });
  segment.relayed({ bytes: 110, rows: 2, newestAt, columns });
  expect(segment.pendingRows).toBe(2);
  expect(segment.oldestAt).toBeGreaterThanOrEqual(begin);
  expect(segment.oldestAt).toBeLessThanOrEqual(performance.now());
});

test('what an earlier process has left is as old as its file, and not yet to come', () => {
  expect(performance.now() - sinceStart(Date.now() - HOUR_MS)).toBeGreaterThan(HOUR_MS - 1);
  expect(sinceStart(Date.now() + HOUR_MS)).toBeLessThanOrEqual(performance.now());
});
