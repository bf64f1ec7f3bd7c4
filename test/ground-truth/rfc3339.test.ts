import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRfc3339 } from '../../src/ground-truth/rfc3339.ts';

describe('a time of RFC 3339', () => {
  test.each([
    // The examples of RFC 3339, 5.8.
    ['1985-04-12T23:20:50.52Z', '1985-04-12T23:20:50.520Z'],
    ['1996-12-19T16:39:57-08:00', '1996-12-20T00:39:57.000Z'],
    ['1990-12-31T23:59:60Z', '1991-01-01T00:00:00.000Z'],
    ['1990-12-31T15:59:60-08:00', '1991-01-01T00:00:00.000Z'],
    ['1937-01-01T12:00:27.87+00:20', '1937-01-01T11:40:27.870Z'],
    ['2026-11-22t10:00:00z', '2026-11-22T10:00:00.000Z'],
    ['2026-11-22T10:00:00-00:00', '2026-11-22T10:00:00.000Z'],
    ['2026-11-22T10:00:00.1239999Z', '2026-11-22T10:00:00.123Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['0099-12-31T00:00:00Z', '0099-12-31T00:00:00.000Z'],
  ])('%s is read', (text, time) => {
    expect(parseRfc3339(text)?.toISOString()).toBe(time);
  });

  test.each([
    ...['', 'now', '2026-11-22', '2026-11-22T10:00:00', '2026-11-22T10:00Z', '2026-11-22 10:00:00Z'],
    ...['2026-11-22T10:00:00+01', '2026-11-22T10:00:00+0100', '2026-11-22T10:00:00 Z', '2026-11-22T10:00:00.Z'],
    ...['2026-02-30T00:00:00Z', '2025-02-29T00:00:00Z', '2026-00-10T00:00:00Z', '2026-13-10T00:00:00Z'],
    ...['2026-11-00T00:00:00Z', '2026-11-22T24:00:00Z', '2026-11-22T10:60:00Z', '2026-11-22T10:00:61Z'],
    ...['2026-11-22T10:00:00+24:00', '2026-11-22T10:00:00+00:60', '+12026-11-22T10:00:00Z', '１985-04-12T23:20:50Z'],
    ...[' 2026-11-22T10:00:00Z', '2026-11-22T10:00:00Z\n', '1763805600', 'Sun, 22 Nov 2026 10:00:00 GMT'],
  ])('%j is none', (text) => {
    expect(parseRfc3339(text)).toBeUndefined();
  });

  test('is what Date writes, whatever the zone that it is written in', () => {
    const [min, max] = [new Date('0001-01-02T00:00:00Z'), new Date('9999-12-30T00:00:00Z')];
    const zone = fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 });
    fc.assert(
      fc.property(fc.date({ min, max, noInvalidDate: true }), zone, (date, minutes) => {
        expect(parseRfc3339(date.toISOString())).toEqual(date);
        const two = (value: number) => String(value).padStart(2, '0');
        const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
        const local = new Date(date.getTime() + minutes * 60_000).toISOString().slice(0, -1);
        expect(parseRfc3339(`${local}${minutes < 0 ? '-' : '+'}${two(hours)}:${two(rest)}`)).toEqual(date);
      }),
    );
  });
});
