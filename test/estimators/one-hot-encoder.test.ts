import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { featuresOfKind } from '../../src/contract/contract.ts';
import { fitOneHotEncoder } from '../../src/estimators/one-hot-encoder.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';

interface Encoded {
  categorical: string[];
  categories: Record<string, number[]>;
}
const boston: Encoded = readFixture('boston');
const synthetic: { sets: (Encoded & { name: string; numerical: string[]; X: number[][] })[] } =
  readFixture('synthetic');

function readFixture<Content>(name: string): Content {
  return JSON.parse(readFileSync(new URL(`../oracle/fixtures/${name}.json`, import.meta.url), 'utf8')) as Content;
}

function categoriesOf(rows: readonly (readonly number[])[], columns: number[]): number[][] {
  const X = { rows: rows.length, columns: rows[0]!.length, data: Float64Array.from(rows.flat()) };
  return fitOneHotEncoder(X, columns).categories.map((values) => Array.from(values));
}

describe('against scikit-learn', () => {
  test('the housing columns have its categories', () => {
    const { categories } = fitOneHotEncoder(loadHousingDataset().X, featuresOfKind(housing, 'categorical'));
    expect(categories.map((values) => Array.from(values))).toEqual(
      boston.categorical.map((name) => boston.categories[name]),
    );
  });

  test.each(synthetic.sets)('so do those of: $name', ({ X, numerical, categorical, categories }) => {
    const columns = categorical.map((_, k) => numerical.length + k);
    expect(categoriesOf(X, columns)).toEqual(categorical.map((name) => categories[name]));
  });
});

describe('for any column', () => {
  const column = fc.array(fc.oneof(fc.integer({ min: -5, max: 30 }), fc.maxSafeInteger()), { minLength: 1 });

  test('the categories are its distinct values in ascending order of number', () => {
    fc.assert(
      fc.property(column, (values) => {
        const [categories] = categoriesOf(
          values.map((value) => [value]),
          [0],
        );
        for (const value of values) expect(categories).toContain(value);
        for (const category of categories!) expect(values).toContain(category);
        categories!.slice(1).forEach((category, i) => {
          expect(category).toBeGreaterThan(categories![i]!);
        });
      }),
    );
  });

  test('0 and -0 are one category', () => {
    expect(categoriesOf([[0], [-0], [1]], [0])).toEqual([[0, 1]]);
    expect(categoriesOf([[-0], [0]], [0])).toEqual([[0]]);
  });

  test('one value is one category', () => {
    expect(categoriesOf([[7], [7], [7]], [0])).toEqual([[7]]);
  });

  test('of a column whose categories are known, others are not learned, nor those that no row has', () => {
    const X = { rows: 3, columns: 2, data: Float64Array.of(4, 4, 2, 2, 7, 7) };
    const { categories } = fitOneHotEncoder(X, [0, 1], new Map([[1, new Set([2, 7, 9])]]));
    expect(categories).toEqual([Float64Array.of(2, 4, 7), Float64Array.of(2, 7)]);
  });

  test('the columns do not mix and keep the order in which they are asked for', () => {
    const rows = [
      [1, 20, 5],
      [2, 10, 5],
    ];
    expect(categoriesOf(rows, [1, 0])).toEqual([
      [10, 20],
      [1, 2],
    ]);
    expect(categoriesOf(rows, [])).toEqual([]);
  });
});
