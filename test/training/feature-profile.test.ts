import fc from 'fast-check';
import { expect, test } from 'vitest';
import { featureProfile } from '../../src/training/feature-profile.ts';
import { contractOf } from '../support/declaration.ts';

const contract = contractOf([
  { name: 'SIZE', dtype: 'float64' },
  { name: 'ZONE', dtype: 'int64', kind: 'categorical' },
]);

function profile(rows: number[][]) {
  return featureProfile({ rows: rows.length, columns: 2, data: Float64Array.from(rows.flat()) }, contract);
}

test('a numerical feature has its range, mean and deciles, a categorical one its counts', () => {
  const rows = Array.from({ length: 11 }, (_, i) => [100 - 10 * i, i < 3 ? -1 : 24]);
  expect(profile(rows)).toEqual({
    SIZE: { kind: 'numerical', min: 0, max: 100, mean: 50, deciles: [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100] },
    ZONE: { kind: 'categorical', counts: { '-1': 3, '24': 8 } },
  });
});

test('one row is a profile too', () => {
  expect(profile([[2.5, 7]])).toEqual({
    SIZE: { kind: 'numerical', min: 2.5, max: 2.5, mean: 2.5, deciles: Array(11).fill(2.5) },
    ZONE: { kind: 'categorical', counts: { '7': 1 } },
  });
});

test('for any rows the deciles ascend from min to max and are values that occur, and the counts add up', () => {
  const row = fc.tuple(fc.integer({ min: -1000, max: 1000 }), fc.integer({ min: -3, max: 3 }));
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 60 }), (rows) => {
      const { SIZE, ZONE } = profile(rows);
      if (SIZE?.kind !== 'numerical' || ZONE?.kind !== 'categorical') throw new Error('wrong kinds');
      const sizes = rows.map(([size]) => size);
      expect([SIZE.deciles[0], SIZE.deciles[10]]).toEqual([Math.min(...sizes), Math.max(...sizes)]);
      expect([SIZE.min, SIZE.max]).toEqual([SIZE.deciles[0], SIZE.deciles[10]]);
      expect(SIZE.deciles).toEqual(SIZE.deciles.toSorted((a, b) => a - b));
      for (const decile of SIZE.deciles) expect(sizes).toContain(decile);
      expect(SIZE.mean).toBeCloseTo(sizes.reduce((sum, size) => sum + size, 0) / sizes.length, 9);
      for (const [zone, count] of Object.entries(ZONE.counts)) {
        expect(rows.filter((values) => values[1] === Number(zone))).toHaveLength(count);
      }
      expect(Object.values(ZONE.counts).reduce((sum, count) => sum + count, 0)).toBe(rows.length);
    }),
  );
});
