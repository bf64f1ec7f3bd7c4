import { describe, expect, test } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import { checkDataset } from '../../src/training/check-dataset.ts';
import { contractOf } from '../support/declaration.ts';

const contract = contractOf([
  { name: 'size', dtype: 'float64' },
  { name: 'rooms', dtype: 'int64', nullable: true },
  { name: 'lift', dtype: 'bool', optional: true },
  { name: 'district', dtype: 'string', categories: ['Wola', 'Ochota'] },
  { name: 'heating', dtype: 'string', categories: ['gas', 'coal'], unknown: 'refuse', nullable: true, null_as: 'none' },
  { name: 'class', dtype: 'int64', kind: 'categorical', categories: [1, 2], unknown: 'refuse', nullable: true },
]);
const place = (text: string) => contract.texts.indexOf(text);
const row = [71.5, 3, 1, place('Wola'), place('gas'), 1];

/** What is said of a second row with one slot changed, or undefined when it is accepted. */
function refusalOf(column: number, slot: number, target = 1): string | undefined {
  const changed = row.with(column, slot);
  try {
    checkDataset(
      { X: { rows: 2, columns: 6, data: Float64Array.of(...row, ...changed) }, y: Float64Array.of(1, target) },
      contract,
    );
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(RidgelineError);
    expect((error as RidgelineError).code).toBe('training_data');
    return (error as RidgelineError).message;
  }
}

describe('a slot is accepted:', () => {
  test.each<[string, number, number]>([
    ['any finite number', 0, -1e300],
    ['a whole number', 1, -(2 ** 53 - 1)],
    ['a missing number', 1, Number.NaN],
    ['false', 2, 0],
    ['a boolean that may be left out', 2, Number.NaN],
    ['a text that only another feature declares, where unknown ones are accepted', 3, place('coal')],
    ['a text that is declared nowhere, where unknown ones are accepted', 3, contract.texts.length + 4],
    ['what null stands for', 4, place('none')],
    ['null itself', 4, Number.NaN],
    ['a missing category', 5, Number.NaN],
  ])('%s', (_, column, slot) => {
    expect(refusalOf(column, slot)).toBeUndefined();
  });
});

describe('a slot is refused with its row, its feature, and what to do:', () => {
  test.each<[string, number, number, RegExp]>([
    [
      'NaN where nothing may be missing',
      0,
      Number.NaN,
      /^Row 2, size: not a finite number.*declare the feature nullable/,
    ],
    ['Infinity', 1, Number.POSITIVE_INFINITY, /^Row 2, rooms: not a finite number/],
    ['a fraction', 1, 2.5, /^Row 2, rooms: 2\.5 is not a whole number.*int64/],
    ['a whole number that is not exact', 1, 2 ** 53, /^Row 2, rooms: 9007199254740992 is not a whole number/],
    ['2 for a boolean', 2, 2, /^Row 2, lift: 2 is neither 0 nor 1/],
    ['a place before the first', 3, -1, /^Row 2, district: -1 is not the place of a text/],
    ['half a place', 3, 0.5, /^Row 2, district: 0\.5 is not a whole number/],
    ['NaN for a text that may not be missing', 3, Number.NaN, /^Row 2, district: not a finite/],
    ['an unknown text where all are declared', 4, contract.texts.length, /^Row 2, heating: not a declared category/],
    [
      'the text of another feature where all are declared',
      4,
      place('Wola'),
      /^Row 2, heating: not a declared category/,
    ],
    ['an unknown number where all are declared', 5, 3, /^Row 2, class: not a declared category/],
  ])('%s', (_, column, slot, message) => {
    expect(refusalOf(column, slot)).toMatch(message);
  });

  test('a target that is missing', () => {
    expect(refusalOf(0, 1, Number.NaN)).toMatch(/^Row 2, prediction: not a finite number\. Drop the row/);
  });
});
