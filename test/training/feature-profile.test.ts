import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromValues } from '../../src/contract/rows.ts';
import type { Value } from '../../src/contract/values.ts';
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
    SIZE: {
      kind: 'numerical',
      min: 0,
      max: 100,
      mean: 50,
      sd: Math.sqrt(1000),
      deciles: [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100],
      edges: [10, 20, 30, 40, 50, 60, 70, 80, 90],
      counts: [1, 1, 1, 1, 1, 1, 1, 1, 1, 2],
      rows: 11,
      missing: 0,
    },
    ZONE: { kind: 'categorical', counts: { '-1': 3, '24': 8 }, unknown: 0, rows: 11, missing: 0 },
  });
});

test('one row is a profile too', () => {
  expect(profile([[2.5, 7]])).toEqual({
    SIZE: {
      ...{ kind: 'numerical', min: 2.5, max: 2.5, mean: 2.5, sd: 0, deciles: Array(11).fill(2.5) },
      ...{ edges: [], counts: [1, 0], rows: 1, missing: 0 },
    },
    ZONE: { kind: 'categorical', counts: { '7': 1 }, unknown: 0, rows: 1, missing: 0 },
  });
});

describe('what is missing', () => {
  const nullable = contractOf([
    { name: 'SIZE', dtype: 'float64', nullable: true },
    { name: 'ZONE', dtype: 'string', nullable: true, categories: ['north', '__proto__'] },
    { name: 'LIFT', dtype: 'bool', nullable: true },
  ]);
  const profileOf = (rows: Value[][]) => {
    const { features } = fromValues(nullable, rows);
    return featureProfile({ rows: rows.length, columns: 3, data: Float64Array.from(features) }, nullable);
  };

  test('is counted, and the values that are there have their names', () => {
    const rows: Value[][] = [
      [1, 'north', true],
      [null, '__proto__', null],
      [3, null, false],
      [null, 'north', true],
      [5, 'south', true],
    ];
    expect(profileOf(rows)).toEqual({
      SIZE: {
        ...{ kind: 'numerical', min: 1, max: 5, mean: 3, sd: Math.sqrt(8 / 3) },
        ...{ deciles: [1, 1, 1, 3, 3, 3, 3, 3, 5, 5, 5], edges: [3, 5], counts: [1, 1, 1], rows: 3, missing: 2 },
      },
      ZONE: { kind: 'categorical', counts: { north: 2, ['__proto__']: 1 }, unknown: 1, rows: 4, missing: 1 },
      LIFT: { kind: 'categorical', counts: { true: 3, false: 1 }, unknown: 0, rows: 4, missing: 1 },
    });
  });

  test('may be everything', () => {
    expect(profileOf([[null, null, null]])).toEqual({
      SIZE: {
        ...{ kind: 'numerical', min: null, max: null, mean: null, sd: null },
        ...{ deciles: [], edges: [], counts: [], rows: 0, missing: 1 },
      },
      ZONE: { kind: 'categorical', counts: {}, unknown: 0, rows: 0, missing: 1 },
      LIFT: { kind: 'categorical', counts: {}, unknown: 0, rows: 0, missing: 1 },
    });
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
