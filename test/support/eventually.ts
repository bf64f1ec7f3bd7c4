import { setTimeout as delay } from 'node:timers/promises';

/** Calls `check` until it returns something truthy, which it returns; fails with the last error or after the limit. */
export async function eventually<Result>(
  check: () => Promise<Result>,
  limitMs = 10_000,
): Promise<Exclude<Result, false | null | undefined>> {
  const deadline = Date.now() + limitMs;
  while (true) {
    let failure: unknown = new Error(`not so within ${limitMs} ms`);
    try {
      const result = await check();
      if (result) return result as Exclude<Result, false | null | undefined>;
    } catch (error) {
      failure = error;
    }
    if (Date.now() > deadline) throw failure;
    await delay(20);
  }
}
