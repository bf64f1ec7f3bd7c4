import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Contract } from '../../src/contract/contract.ts';
import { createLoadedVersions } from '../../src/registry/loaded-versions.ts';
import { everyType, wines } from '../support/declaration.ts';
import { createNotedLog } from '../support/noted-log.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Longer than any version is kept. */
const later = () => vi.advanceTimersByTime(60_000);

function setUp() {
  const { log, messages } = createNotedLog();
  const retired: string[] = [];
  const version = (pipelineVersion: string, contract: Contract) => ({
    pipelineVersion,
    contract,
    retire: () => void retired.push(pipelineVersion),
  });
  return { versions: createLoadedVersions<ReturnType<typeof version>>(log), version, retired, messages };
}

test('before the first swap there is none', () => {
  const { versions } = setUp();
  expect(versions.current()).toBeUndefined();
  expect(versions.forContract(wines)).toBeUndefined();
  expect(versions.contracts()).toEqual([]);
});

test('one of the same contract runs the rows of the one before, which is retired at once', () => {
  const { versions, version, retired } = setUp();
  const [first, second] = [version('first', wines), version('second', wines)];
  expect(versions.swap(first)).toBeUndefined();
  expect(versions.swap(second)).toBe(first);
  expect(versions.forContract(wines)).toBe(second);
  expect(retired).toEqual(['first']);
});

test('one of another contract leaves the rows that have been read to the one before, for a while', () => {
  const { versions, version, retired } = setUp();
  const [first, other] = [version('first', wines), version('other', everyType)];
  versions.swap(first);
  versions.swap(other);
  expect(versions.current()).toBe(other);
  expect(versions.forContract(wines)).toBe(first);
  expect(versions.contracts()).toEqual([everyType, wines]);
  vi.advanceTimersByTime(1000);
  expect(retired).toEqual([]);
  later();
  expect(retired).toEqual(['first']);
  expect(versions.forContract(wines)).toBeUndefined();
  expect(versions.forContract(everyType)).toBe(other);
});

test('there and back within that while, each version is retired once', () => {
  const { versions, version, retired } = setUp();
  versions.swap(version('first', wines));
  versions.swap(version('other', everyType));
  const back = version('back', wines);
  versions.swap(back);
  expect(versions.forContract(wines)).toBe(back);
  expect(versions.forContract(everyType)?.pipelineVersion).toBe('other');
  expect(retired).toEqual(['first']);
  later();
  expect(retired).toEqual(['first', 'other']);
  expect(versions.forContract(wines)).toBe(back);
});

test('what cannot be released is logged, and the swap holds', () => {
  const { versions, version, messages } = setUp();
  versions.swap({
    ...version('first', wines),
    retire() {
      throw new Error('native');
    },
  });
  versions.swap(version('second', wines));
  expect(versions.current()?.pipelineVersion).toBe('second');
  expect(messages('warn')).toEqual(['the replaced pipeline could not be released']);
});

test('closing retires all of them, and leaves no timer', () => {
  const { versions, version, retired } = setUp();
  versions.swap(version('first', wines));
  versions.swap(version('other', everyType));
  versions.close();
  expect(retired.sort()).toEqual(['first', 'other']);
  expect(versions.current()).toBeUndefined();
  expect(versions.forContract(everyType)).toBeUndefined();
  expect(vi.getTimerCount()).toBe(0);
});
