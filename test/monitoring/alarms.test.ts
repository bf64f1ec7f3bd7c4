import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AlarmRow, type AlarmState, afterLook } from '../../src/monitoring/alarms.ts';

/** H holds, O is over, - is neither: hovers about its limit. */
function statesAfter(looks: string): AlarmState[] {
  let alarm: AlarmRow = { state: 'ok', since: null, looks: 0 };
  return [...looks].map((look, hour) => {
    alarm = afterLook(alarm, { holds: look === 'H', isOver: look === 'O', value: null }, new Date(hour * 3_600_000));
    return alarm.state;
  });
}
const last = (looks: string) => statesAfter(looks).at(-1);

test('an alarm fires when it has held for six looks, and never before', () => {
  expect(statesAfter('HHHHHH')).toEqual(['pending', 'pending', 'pending', 'pending', 'pending', 'firing']);
  expect(last('HHHHHOHHHHH')).toBe('pending');
  expect(last('HHHHH-')).toBe('ok');
});

test('it is over after six looks in a row that show it, however long it hovers', () => {
  expect(last('HHHHHHOOOOO')).toBe('firing');
  expect(last('HHHHHHOOOOOO')).toBe('ok');
  expect(last('HHHHHHOOOOO-OOOOO')).toBe('firing');
  expect(last('HHHHHH----------------')).toBe('firing');
});

test('since is when the state began, and null before anything was amiss', () => {
  const now = (hour: number) => new Date(hour * 3_600_000);
  const holds = { holds: true, isOver: false, value: 1 };
  let alarm = afterLook({ state: 'ok', since: null, looks: 0 }, { ...holds, holds: false }, now(0));
  expect(alarm.since).toBeNull();
  for (let hour = 1; hour <= 8; hour++) alarm = afterLook(alarm, holds, now(hour));
  expect(alarm).toMatchObject({ state: 'firing', since: now(6) });
});

test('fewer than six in a row never change whether it fires', () => {
  const run = fc.tuple(fc.constantFrom('H', 'O', '-'), fc.integer({ min: 1, max: 5 }));
  const looks = fc
    .array(run)
    .map((runs) => runs.map(([look, times], i) => (runs[i - 1]?.[0] === look ? '' : look.repeat(times))).join(''));
  fc.assert(
    fc.property(looks, (all) => {
      expect(statesAfter(all)).not.toContain('firing');
    }),
  );
});
