import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createAdoption } from '../../../src/prediction-log/relay/adoption.ts';
import { createNotedLog } from '../../support/noted-log.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('what dead processes have left is looked for every ten seconds, whatever becomes of the clock on the wall', async () => {
  let looks = 0;
  let stirred = 0;
  let end: (rows: number) => void = () => undefined;
  const { log, lines } = createNotedLog();
  const adoption = createAdoption({
    adopt: (found) => {
      looks++;
      found();
      return new Promise((resolve) => {
        end = resolve;
      });
    },
    stir: () => stirred++,
    log,
  });
  adoption.lookIfDue();
  expect(adoption.isLooking()).toBe(true);
  expect(stirred).toBe(1);

  vi.advanceTimersByTime(60_000);
  adoption.lookIfDue();
  expect(looks).toBe(1);
  end(3);
  await vi.waitFor(() => expect(adoption.isLooking()).toBe(false));
  expect(stirred).toBe(2);
  expect(lines.map(({ fields }) => fields)).toEqual([{ rows: 3 }]);

  vi.setSystemTime(Date.now() - 3_600_000);
  adoption.lookIfDue();
  expect(looks).toBe(2);
  end(0);
  await vi.waitFor(() => expect(adoption.isLooking()).toBe(false));
  vi.setSystemTime(Date.now() - 3_600_000);
  expect(adoption.untilDue()).toBeGreaterThan(9_000);
  adoption.lookIfDue();
  expect(looks).toBe(2);
  vi.advanceTimersByTime(10_000);
  adoption.lookIfDue();
  expect(looks).toBe(3);
  expect(lines).toHaveLength(1);
});
