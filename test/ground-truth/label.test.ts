import fc from 'fast-check';
import { v1, v4, v7 } from 'uuid';
import { describe, expect, test } from 'vitest';
import { mayStillArrive, timeOfPredictionId } from '../../src/ground-truth/label.ts';

describe('the time in the id of a prediction', () => {
  test('is the one that the id was made with, to the millisecond, up to the last that it can hold', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 48 - 1), fc.boolean(), (msecs, upper) => {
        const id = v7({ msecs });
        expect(timeOfPredictionId(upper ? id.toUpperCase() : id)?.getTime()).toBe(msecs);
      }),
    );
    // The example of RFC 9562, A.6.
    expect(timeOfPredictionId('017F22E2-79B0-7CC3-98C4-DC0C0C07398F')?.toISOString()).toBe('2022-02-22T19:22:22.000Z');
  });

  test.each([
    ...['', 'nonsense', v1(), v4(), v7().replaceAll('-', ''), `{${v7()}}`, `${v7()} `, `urn:uuid:${v7()}`],
    // Another variant.
    '017f22e2-79b0-7cc3-18c4-dc0c0c07398f',
    '017f22e2-79b0-7cc3-98c4-dc0c0c07398g',
  ])('is not read from %j', (id) => {
    expect(timeOfPredictionId(id)).toBeUndefined();
  });
});

test.each([
  ['2026-11-21T10:00:00.000Z', true],
  ['2026-11-21T09:59:59.999Z', false],
  ['2026-11-22T10:05:00.000Z', true],
  ['2026-11-22T10:05:00.001Z', false],
])('at 10 o’clock on the 22nd a prediction of %s may still arrive: %s', (predictedAt, may) => {
  expect(mayStillArrive(new Date(predictedAt), new Date('2026-11-22T10:00:00Z'))).toBe(may);
});
