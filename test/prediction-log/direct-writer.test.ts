import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Column } from '../../src/contract/contract.ts';
import { createDirectWriter } from '../../src/prediction-log/direct-writer.ts';
import type { PredictionStore } from '../../src/prediction-log/prediction-store.ts';

/** Longer than an insert may take. */
const TOO_LONG_MS = 6_000;

const columns: readonly Column[] = [{ name: 'x', type: 'text' }];
const records = (text: string, of = columns) => ({ columns: of, bytes: Buffer.from(text) });

/** A store whose inserts end when they are told to: the real one cannot be held at a point. */
function heldStore() {
  const inserts: { columns: readonly Column[]; records: string; done: () => void; fail: (error: unknown) => void }[] =
    [];
  const store: PredictionStore = {
    insert: (of, records) =>
      new Promise((done, fail) => {
        inserts.push({ columns: of, records: records.toString(), done, fail });
      }),
    insertMissing: () => Promise.reject(new Error('not needed here')),
    rehearse: () => Promise.reject(new Error('not needed here')),
    failureOf: (error) => ((error as Error).message === 'refused' ? 'refused' : 'unavailable'),
  };
  return { inserts, writer: createDirectWriter(store) };
}

/** What has become of each: undefined while it waits. */
function outcomes(promises: Promise<void>[]): (string | undefined)[] {
  const results: (string | undefined)[] = promises.map(() => undefined);
  promises.forEach((promise, i) => {
    promise.then(
      () => (results[i] = 'stored'),
      (error: Error) => (results[i] = error.message),
    );
  });
  return results;
}

const settled = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('one insert is under way at a time, and what comes meanwhile goes together in the next', async () => {
  const { inserts, writer } = heldStore();
  const results = outcomes(['a', 'b', 'c'].map((text) => writer.store(records(text))));
  expect(inserts.map(({ records }) => records)).toEqual(['a']);
  inserts[0]!.done();
  await settled();
  expect(inserts.map(({ records }) => records)).toEqual(['a', 'bc']);
  expect(results).toEqual(['stored', undefined, undefined]);
  inserts[1]!.done();
  await settled();
  expect(results).toEqual(['stored', 'stored', 'stored']);
});

test('what has other columns goes into an insert of its own, before and after which the others go together', async () => {
  const { inserts, writer } = heldStore();
  const other: readonly Column[] = [{ name: 'y', type: 'text' }];
  const waiting = [
    ['a', columns],
    ['1', other],
    ['b', columns],
    ['2', other],
    ['c', columns],
  ] as const;
  const results = outcomes(waiting.map(([text, of]) => writer.store(records(text, of))));
  for (let i = 0; i < inserts.length; i++) {
    inserts[i]!.done();
    await settled();
  }
  expect(inserts.map(({ columns: of, records: sent }) => [sent, of])).toEqual([
    ['a', columns],
    ['12', other],
    ['bc', columns],
  ]);
  expect(results).toEqual(Array(5).fill('stored'));
});

test('a batch whose content is refused does not fail those that went with it', async () => {
  const { inserts, writer } = heldStore();
  const results = outcomes(['a', 'b', 'bad', 'c'].map((text) => writer.store(records(text))));
  for (let i = 0; i < inserts.length; i++) {
    if (inserts[i]!.records.includes('bad')) inserts[i]!.fail(new Error('refused'));
    else inserts[i]!.done();
    await settled();
  }
  expect(results).toEqual(['stored', 'stored', 'refused', 'stored']);
});

test('an insert that hangs is given up with all that wait for it, and the next one is tried anew', async () => {
  const { inserts, writer } = heldStore();
  const results = outcomes(['a', 'b'].map((text) => writer.store(records(text))));
  await vi.advanceTimersByTimeAsync(TOO_LONG_MS);
  expect(results).toEqual(Array(2).fill(expect.stringContaining('Postgres has not answered within 5 s')));
  const later = outcomes([writer.store(records('c'))]);
  inserts[1]!.done();
  await settled();
  expect(later).toEqual(['stored']);
  // What the first one does at last concerns nobody.
  inserts[0]!.fail(new Error('cut'));
  await settled();
  expect(inserts).toHaveLength(2);
});

test('a connection that was lost costs nobody his answer: it is tried at once on another, but not for ever', async () => {
  const { inserts, writer } = heldStore();
  const results = outcomes([writer.store(records('a'))]);
  inserts[0]!.fail(new Error('cut'));
  await settled();
  inserts[1]!.done();
  await settled();
  expect(results).toEqual(['stored']);
  const away = outcomes([writer.store(records('b'))]);
  for (let i = 2; i < inserts.length; i++) {
    inserts[i]!.fail(new Error('away'));
    await settled();
  }
  expect(away).toEqual(['away']);
  expect(inserts.map(({ records }) => records)).toEqual(['a', 'a', 'b', 'b', 'b']);
});

test('what waits is bounded: whoever comes too late is told that the service is at its capacity', async () => {
  const { inserts, writer } = heldStore();
  const large = Buffer.alloc(9 * 1024 * 1024);
  const results = outcomes([large, large, large].map((bytes) => writer.store({ columns, bytes })));
  await settled();
  expect(results).toEqual([undefined, undefined, expect.stringContaining('Retry-After')]);
  for (let i = 0; i < inserts.length; i++) {
    inserts[i]!.done();
    await settled();
  }
  expect(results.slice(0, 2)).toEqual(['stored', 'stored']);
});
