import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPool } from '../../src/database/pool.ts';
import { type AlarmRow, type AlarmState, afterLook, recordLook } from '../../src/monitoring/alarms.ts';
import { createTestDatabase } from '../support/database.ts';

/** H holds, O is over, - is neither: hovers about its limit. */
function statesAfter(looks: string): AlarmState[] {
  let alarm: AlarmRow = { state: 'ok', since: null, looks: 0 };
  return [...looks].map((look, hour) => {
    alarm = afterLook(
      alarm,
      { holds: look === 'H', isOver: look === 'O', value: null, detail: {} },
      new Date(hour * 3_600_000),
    );
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
  const holds = { holds: true, isOver: false, value: 1, detail: {} };
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

test('of looks in one hour one counts, as of a pass that was begun again', async () => {
  const database = await createTestDatabase();
  const pool = createPool({ url: database.url, onError: () => undefined, max: 1 });
  const look = (hour: number, minute: number) =>
    recordLook(
      pool,
      'quality:V',
      { holds: true, isOver: false, value: 1, detail: { labels: 200 } },
      new Date(Date.UTC(2026, 10, 20, hour, minute)),
    );
  const state = async () => (await database.query('select state, detail from monitoring_state'))[0];
  for (let hour = 0; hour < 5; hour++)
    for (const minute of [0, 1, 59]) expect(await look(hour, minute)).toBeUndefined();
  expect(await state()).toMatchObject({ state: 'pending', detail: { looks: 5, labels: 200 } });
  expect(await look(5, 0)).toBe('firing');
  expect(await look(5, 1)).toBeUndefined();
  expect(await state()).toMatchObject({ state: 'firing' });
  await pool.end();
  await database.drop();
});
