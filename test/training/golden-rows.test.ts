import { describe, expect, test } from 'vitest';
import { fromValues, type GoldenRows } from '../../src/contract/rows.ts';
import type { Value } from '../../src/contract/values.ts';
import { goldenRows } from '../../src/training/golden-rows.ts';
import { contractOf } from '../support/declaration.ts';

const contract = contractOf([
  { name: 'size', dtype: 'float64', nullable: true },
  { name: 'zone', dtype: 'string', nullable: true, categories: ['north', 'unknown'] },
  { name: 'lift', dtype: 'bool' },
]);

/** Golden rows of these rows, each answered with its number. */
function chosen(rows: readonly Value[][]): GoldenRows {
  const X = { rows: rows.length, columns: 3, data: Float64Array.from(fromValues(contract, rows).features) };
  return goldenRows(X, Float64Array.from(rows.keys()), contract);
}

const plain = Array.from({ length: 100 }, (_, i): Value[] => [i, 'north', i % 2 === 0]);

describe('golden rows', () => {
  test('are spread from the first to the last, as values with their answers', () => {
    const { features, predictions } = chosen(plain);
    expect(features).toHaveLength(16);
    expect(features[0]).toEqual([0, 'north', true]);
    expect(features[15]).toEqual([99, 'north', false]);
    expect(predictions).toEqual(features.map(([size]) => size));
  });

  test('begin with the first in which each feature is missing or unknown', () => {
    const rows = plain.with(60, [null, 'north', true]).with(61, [null, 'south', true]).with(62, [62, null, true]);
    const { features, predictions } = chosen(rows.with(63, [63, 'east', false]));
    expect(predictions.slice(0, 3)).toEqual([60, 61, 62]);
    expect(predictions.at(-1)).toBe(99);
    expect(features).toHaveLength(16);
    expect(features[0]).toEqual([null, 'north', true]);
    expect(features[2]).toEqual([62, null, true]);
  });

  test('hold a text that is unknown in the place of unknown ones', () => {
    const { features } = chosen(plain.with(50, [50, 'south', true]).with(51, [51, 'unknown', true]));
    expect(features[0]).toEqual([50, 'unknown?', true]);
  });

  test('are each there once, however few there are', () => {
    expect(chosen(plain.slice(0, 2).with(0, [null, null, false])).predictions).toEqual([0, 1]);
  });

  test('leave half of the places to ordinary rows', () => {
    const wide = contractOf(
      Array.from({ length: 30 }, (_, i) => ({ name: `f${i}`, dtype: 'float64', nullable: true })),
    );
    const rows = Array.from({ length: 100 }, (_, i) =>
      Array.from({ length: 30 }, (_, k) => (i === k + 20 ? Number.NaN : i)),
    );
    const X = { rows: 100, columns: 30, data: Float64Array.from(rows.flat()) };
    const { features, predictions } = goldenRows(X, Float64Array.from(rows.keys()), wide);
    expect(features.filter((row) => row.includes(null)).length).toBeLessThanOrEqual(10);
    expect(predictions).toContain(99);
  });
});
