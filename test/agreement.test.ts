import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AGREEMENT_TOLERANCE, agrees, disagreement, sizeOf } from '../src/agreement.ts';

test('the size of a target is the mean of its absolute values, however large or small they are', () => {
  expect(sizeOf([1, -2, 3])).toBeCloseTo(2, 15);
  expect(sizeOf(new Float64Array(4).fill(1.5e308))).toBeCloseTo(1.5e308, -294);
  expect(sizeOf([5e-324])).toBe(5e-324);
  expect(sizeOf([])).toBe(0);
});

test.each([1e-200, 1e-6, 1, 1e6, 1e200])('a target of %d is checked to nine digits', (unit) => {
  const target = [1, -2, 3].map((value) => value * unit);
  const size = sizeOf(target);
  for (const expected of target) {
    expect(agrees(expected * (1 + 1e-10), expected, size)).toBe(true);
    expect(agrees(expected + 1e-8 * size, expected, size)).toBe(Math.abs(expected) > 2.5 * 10 * size);
  }
});

test('a prediction near 0 among large ones may be off by the rounding of large ones, and by no more', () => {
  const size = sizeOf([20, 30, 1e-14]);
  expect(agrees(4e-14, 1e-14, size)).toBe(true);
  expect(agrees(1e-6, 1e-14, size)).toBe(false);
});

test('what is the same agrees, also where every prediction is 0; what is not a number does not', () => {
  expect(agrees(0, -0, 0)).toBe(true);
  expect(agrees(1e-300, 0, 0)).toBe(false);
  expect(agrees(Number.NaN, 1, 1)).toBe(false);
  expect(agrees(Number.POSITIVE_INFINITY, 1, 1)).toBe(false);
});

test('to measure everything in another unit changes nothing', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1, max: 1000, noNaN: true }),
      fc.double({ min: 1, max: 1000, noNaN: true }),
      fc.integer({ min: -300, max: 300 }),
      (actual, expected, exponent) => {
        const unit = 2 ** exponent;
        expect(disagreement(actual * unit, expected * unit, 10 * unit)).toBe(disagreement(actual, expected, 10));
      },
    ),
  );
  expect(AGREEMENT_TOLERANCE).toBe(1e-9);
});
