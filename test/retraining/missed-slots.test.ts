import fc from 'fast-check';
import { createTask } from 'node-cron';
import { describe, expect, test, vi } from 'vitest';
import { alternativesOf } from '../../src/retraining/cron-alternatives.ts';
import { pastSlotsOf } from '../../src/retraining/missed-slots.ts';

const asked = vi.hoisted(() => ({ times: 0 }));
// The library as it is; only how often it is asked is counted.
vi.mock('node-cron', async (original) => {
  const library = await original<typeof import('node-cron')>();
  const counted: typeof library.createTask = (...how) => {
    const task = library.createTask(...how);
    const match = task.match.bind(task);
    task.match = (date) => {
      asked.times++;
      return match(date);
    };
    return task;
  };
  return { ...library, createTask: counted };
});

const past = (cron: string, after: string, before: string) => {
  const { slots, isCutOff } = pastSlotsOf(cron)(new Date(after), new Date(before));
  return { slots: slots.map((slot) => slot.toISOString().slice(0, 16)), isCutOff };
};

describe('the slots between two times', () => {
  test('are those that cron names, without the times themselves', () => {
    expect(past('0 3 * * *', '2027-01-01T03:00:00Z', '2027-01-04T03:00:00Z')).toEqual({
      slots: ['2027-01-02T03:00', '2027-01-03T03:00'],
      isCutOff: false,
    });
    expect(past('0 3 * * *', '2027-01-01T03:00:00Z', '2027-01-02T03:00:01Z').slots).toEqual(['2027-01-02T03:00']);
    expect(past('0 3 * * *', '2027-01-01T03:00:30Z', '2027-01-01T03:00:50Z').slots).toEqual([]);
    expect(past('0 3 * * *', '2027-01-05T00:00:00Z', '2027-01-01T00:00:00Z').slots).toEqual([]);
  });

  test('leave out months that have no such day', () => {
    expect(past('30 5 31 * *', '2027-01-31T06:00:00Z', '2027-06-01T00:00:00Z').slots).toEqual([
      '2027-03-31T05:30',
      '2027-05-31T05:30',
    ]);
  });

  test('are those of either day, of the month or of the week, where both are restricted', () => {
    expect(past('0 3 13 * 5', '2027-08-10T00:00:00Z', '2027-08-21T00:00:00Z').slots).toEqual([
      '2027-08-13T03:00',
      '2027-08-20T03:00',
    ]);
  });

  test('are at most a thousand, the newest, of at most a year', () => {
    const { slots, isCutOff } = past('* * * * *', '2027-01-01T00:00:00Z', '2027-02-01T00:00:00Z');
    expect([slots.length, slots.at(-1), isCutOff]).toEqual([1_000, '2027-01-31T23:59', true]);
    expect(past('0 3 1 1 *', '2020-01-01T00:00:00Z', '2027-06-01T00:00:00Z')).toEqual({
      slots: ['2027-01-01T03:00'],
      isCutOff: true,
    });
  });

  test('are asked of the library once a day, however many minutes of it are named', () => {
    asked.times = 0;
    expect(past('* * 29 2 *', '2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z').slots).toEqual([]);
    expect(asked.times).toBeLessThan(400);
  });

  test('are those that the library finds minute by minute', () => {
    const field = (...texts: string[]) => fc.constantFrom('*', ...texts);
    const fields = fc.tuple(
      ...[field('0', '*/7', '5,50'), field('3', '*/5', '22-23'), field('1', '13', '*/2', '28-31'), field('1', '2,3')],
      field('1', '0,6', '2-4'),
    );
    const minutes = fc.nat(3 * 1440);
    fc.assert(
      fc.property(fields, fc.nat(360), minutes, (parts, day, length) => {
        const cron = parts.join(' ');
        const after = Date.UTC(2027, 0, 1 + day, 21, 17);
        const before = after + length * 60_000;
        const tasks = alternativesOf(cron).map((one) => createTask(one, () => undefined, { timezone: 'UTC' }));
        const expected = Array.from({ length: Math.max(0, length - 1) }, (_, i) => new Date(after + (i + 1) * 60_000))
          .filter((time) => tasks.some((task) => task.match(time)))
          .slice(-1_000);
        expect(pastSlotsOf(cron)(new Date(after), new Date(before)).slots).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });
});
