import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createHistogram, DURATION_BOUNDS } from '../../src/metrics/histogram.ts';

test('the bounds are 1, 1.5, 2.5, 4 and 6.5 a decade from 100 us to 10 s, as they are written', () => {
  expect(DURATION_BOUNDS.map(String)).toEqual([
    ...['0.0001', '0.00015', '0.00025', '0.0004', '0.00065', '0.001', '0.0015', '0.0025', '0.004', '0.0065', '0.01'],
    ...['0.015', '0.025', '0.04', '0.065', '0.1', '0.15', '0.25', '0.4', '0.65', '1', '1.5', '2.5', '4', '6.5', '10'],
  ]);
});

test('a duration is counted in the first bucket whose bound it does not exceed', () => {
  const seconds = fc.oneof(fc.double({ min: 0, max: 20, noNaN: true }), fc.constantFrom(...DURATION_BOUNDS));
  fc.assert(
    fc.property(fc.array(seconds), (durations) => {
      const histogram = createHistogram();
      for (const duration of durations) histogram.observe(duration);
      const { counts, sum } = histogram.value();
      const bounds = [...DURATION_BOUNDS, Number.POSITIVE_INFINITY];
      const expected = bounds.map((bound, i) => {
        const below = bounds[i - 1] ?? Number.NEGATIVE_INFINITY;
        return durations.filter((duration) => duration <= bound && duration > below).length;
      });
      expect(counts).toEqual(expected);
      expect(sum).toBe(durations.reduce((total, duration) => total + Math.round(duration * 1e6), 0) / 1e6);
    }),
  );
});

test('a value that was read stays as it was', () => {
  const histogram = createHistogram();
  const before = histogram.value();
  histogram.observe(1);
  expect(before).toEqual(createHistogram().value());
});
