import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { referenceOf } from '../../src/contract/reference-profile.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { featureProfile, numericalProfile } from '../../src/training/feature-profile.ts';

test('edges and counts of Boston are those of numpy', () => {
  const { profile } = JSON.parse(
    readFileSync(new URL('../oracle/fixtures/learning-loop/drift.json', import.meta.url), 'utf8'),
  ) as { profile: Record<string, object> };
  const ours = featureProfile(loadHousingDataset().X, housing);
  for (const [name, expected] of Object.entries(profile)) expect(ours[name]).toMatchObject(expected);
  expect(Object.keys(profile)).toHaveLength(11);
});

test('every value of the training data is in a bin, and every bin holds one', () => {
  const number = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ min: -1e6, max: 1e6, noNaN: true }));
  fc.assert(
    fc.property(fc.array(number, { minLength: 1, maxLength: 200 }), (values) => {
      const { bins, counts } = referenceOf(numericalProfile(Float64Array.from(values)))!;
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(values.length);
      if (bins.kind === 'constant') expect([...counts]).toEqual([values.length, 0]);
      if (bins.kind !== 'edges') return;
      expect(Math.min(...counts)).toBeGreaterThan(0);
      const binOf = (value: number) => bins.edges.filter((edge) => edge <= value).length;
      expect([...counts]).toEqual(counts.map((_, bin) => values.filter((value) => binOf(value) === bin).length));
    }),
  );
});

test('categories are in the order of their numbers or of their letters, and all others are in the last bin', () => {
  const reference = (counts: Record<string, number>) =>
    referenceOf({ kind: 'categorical', counts, unknown: 2, rows: 9, missing: 1 });
  expect(reference({ '24': 3, '-1': 1, '3': 2 })).toEqual({
    bins: { kind: 'categories', categories: ['-1', '3', '24'] },
    counts: [1, 2, 3, 2],
    missing: 1,
    range: null,
  });
  expect(reference({ b: 1, B: 2, ['__proto__']: 3 })?.bins).toEqual({
    kind: 'categories',
    categories: ['B', '__proto__', 'b'],
  });
});

test('what says too little, or is nothing of the kind, is no reference', () => {
  const whole = numericalProfile(Float64Array.of(1, 2, 3));
  expect(referenceOf(whole)).toBeDefined();
  const before = { kind: 'numerical', min: 1, max: 3, mean: 2, deciles: [1, 2, 3], missing: 0 };
  for (const one of [
    before,
    numericalProfile(Float64Array.of(Number.NaN)),
    { ...whole, edges: [3, 2] },
    { ...whole, counts: [1] },
    { ...whole, counts: ['1', '2', '3'] },
    { ...whole, sd: null },
    { kind: 'categorical', counts: { a: 1 }, unknown: 0, missing: 0 },
    { kind: 'categorical', counts: { a: -1 }, rows: 1 },
    { kind: 'categorical', counts: 'a', rows: 1 },
    { kind: 'other' },
    null,
    undefined,
    'x',
    [],
  ]) {
    expect(referenceOf(one)).toBeUndefined();
  }
});
