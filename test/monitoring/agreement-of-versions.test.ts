import fc from 'fast-check';
import { expect, test } from 'vitest';
import { agreementOf } from '../../src/monitoring/agreement-of-versions.ts';

test('is what numpy makes of the same answers', () => {
  // a = [1.5, -2, 3.25, 10, 0.1, 7]; b = [1, -2.5, 4, 9, 0, 9]; d = numpy.abs(a - b)
  const agreement = agreementOf([1.5, -2, 3.25, 10, 0.1, 7], [1, -2.5, 4, 9, 0, 9]);
  expect(agreement.rows).toBe(6);
  // d.mean(), numpy.quantile(d, 0.95), numpy.corrcoef(a, b)[0, 1]
  expect(agreement.mean_absolute_difference).toBeCloseTo(0.8083333333333332, 14);
  expect(agreement.p95_absolute_difference).toBeCloseTo(1.75, 14);
  expect(agreement.correlation).toBeCloseTo(0.974514523158124, 14);
});

test('of no rows is nothing, and of one row, or of the same answers, has no correlation', () => {
  const nothing = { mean_absolute_difference: null, p95_absolute_difference: null, correlation: null };
  expect(agreementOf([], [])).toEqual({ rows: 0, ...nothing });
  expect(agreementOf([3], [5])).toEqual({
    rows: 1,
    mean_absolute_difference: 2,
    p95_absolute_difference: 2,
    correlation: null,
  });
  expect(agreementOf([3, 3, 3], [1, 2, 3]).correlation).toBeNull();
});

test('of a version with itself has no difference', () => {
  const answers = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1 });
  fc.assert(
    fc.property(answers, (a) => {
      const { mean_absolute_difference, p95_absolute_difference, correlation } = agreementOf(a, a);
      expect([mean_absolute_difference, p95_absolute_difference]).toEqual([0, 0]);
      if (correlation !== null) expect(correlation).toBeCloseTo(1, 9);
    }),
  );
});
