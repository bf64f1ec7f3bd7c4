import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BoundedQueueOptions, createBoundedQueue } from '../../src/process/bounded-queue.ts';

const stalled = new Error('it stalls');
const queueOf = (options: Partial<BoundedQueueOptions> = {}) =>
  createBoundedQueue({ concurrency: 2, maxPendingSize: 10, limitMs: 60_000, stalled: () => stalled, ...options });

/** Work that ends when it is told to. */
function handle() {
  const { promise, resolve, reject } = withResolvers<string>();
  return { work: () => promise, end: resolve, fail: reject };
}

function withResolvers<Result>() {
  let resolve!: (result: Result) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<Result>((onResult, onError) => {
    resolve = onResult;
    reject = onError;
  });
  return { promise, resolve, reject };
}

describe('a bounded queue', () => {
  test('never does more at once than it may, does all of it, and in the order in which it came', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.record({ turns: fc.nat(3), fails: fc.boolean() }), { maxLength: 20 }),
        async (concurrency, jobs) => {
          const queue = queueOf({ concurrency, maxPendingSize: 20 });
          let working = 0;
          const begun: number[] = [];
          const outcomes = await Promise.allSettled(
            jobs.map(({ turns, fails }, i) =>
              queue.run(1, async () => {
                begun.push(i);
                expect(++working).toBeLessThanOrEqual(concurrency);
                for (let turn = 0; turn < turns; turn++) await delay(0);
                working--;
                if (fails) throw new Error(String(i));
                return i;
              }),
            ),
          );
          expect(begun).toEqual(jobs.map((_, i) => i));
          expect(outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : 'failed'))).toEqual(
            jobs.map(({ fails }, i) => (fails ? 'failed' : i)),
          );
          expect(queue.hasRoomFor(20)).toBe(true);
        },
      ),
      { numRuns: 30 },
    );
  });

  test('refuses what it has no room for at once, and takes it when something has ended', async () => {
    const queue = queueOf();
    const [first, second] = [handle(), handle()];
    const running = [queue.run(4, first.work), queue.run(5, second.work)];
    expect(queue.hasRoomFor(1)).toBe(true);
    expect(queue.hasRoomFor(2)).toBe(false);
    await expect(queue.run(2, async () => 'never')).rejects.toMatchObject({ code: 'overloaded' });
    first.end('first');
    expect(await running[0]).toBe('first');
    expect(await Promise.race([queue.run(2, async () => 'later')])).toBe('later');
    second.fail(new Error('it fails'));
    await expect(running[1]).rejects.toThrow('it fails');
    expect(queue.hasRoomFor(10)).toBe(true);
  });

  test('takes alone what is larger than its limit', async () => {
    const queue = queueOf();
    expect(await queue.run(11, async () => 'large')).toBe('large');
    const { work, end } = handle();
    const running = queue.run(1, work);
    await expect(queue.run(11, async () => 'large')).rejects.toMatchObject({ code: 'overloaded' });
    end('small');
    await running;
  });

  test('says that it stalls where nothing ends in time; what works keeps its place, what waited gives its room back', async () => {
    const queue = queueOf({ concurrency: 1, limitMs: 30 });
    const { work, end } = handle();
    const outcomes = await Promise.allSettled([queue.run(4, work), queue.run(6, async () => 'never')]);
    expect(outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason)).toEqual([stalled, stalled]);
    // The first still holds its connection.
    expect(queue.hasRoomFor(6)).toBe(true);
    expect(queue.hasRoomFor(7)).toBe(false);
    const next = queue.run(6, async () => 'next');
    end('late');
    expect(await next).toBe('next');
    expect(queue.hasRoomFor(10)).toBe(true);
  });

  test('says that it is overloaded where others have had their turns of late', async () => {
    const queue = queueOf({ concurrency: 1, limitMs: 1_000 });
    const { work, end } = handle();
    const outcomes = await Promise.allSettled([
      queue.run(1, () => delay(900, 'done')),
      queue.run(1, work),
      queue.run(1, async () => 'never'),
    ]);
    expect(outcomes).toMatchObject([{ value: 'done' }, { reason: stalled }, { reason: { code: 'overloaded' } }]);
    end('late');
  });
});
