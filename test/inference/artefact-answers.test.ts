import { describe, expect, test } from 'vitest';
import { fromValues } from '../../src/contract/rows.ts';
import type { DenseMatrix } from '../../src/estimators/dense-matrix.ts';
import { answersOf, rowsUnder } from '../../src/inference/artefact-answers.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { contractOf, loadWines, wines } from '../support/declaration.ts';

const matrix = (contract: Parameters<typeof fromValues>[0], rows: Parameters<typeof fromValues>[1]): DenseMatrix => ({
  rows: rows.length,
  columns: contract.names.length,
  data: Float64Array.from(fromValues(contract, rows).features),
});

describe('the rows of one contract as another has them', () => {
  const size = { name: 'size', dtype: 'float64' };
  const district = (...categories: string[]) => ({ name: 'district', dtype: 'string', categories });
  const from = contractOf([size, district('Wola', 'Praga')]);

  test('are the same rows where it declares the same', () => {
    const X = matrix(from, [[1, 'Wola']]);
    expect(rowsUnder(contractOf([size, district('Wola', 'Praga')]), from, X)).toBe(X);
  });

  test('go by the names of features and by texts, whatever their places; an unknown text is unknown there too', () => {
    const to = contractOf([district('Praga', 'Bielany', 'Wola'), size]);
    const found = rowsUnder(
      to,
      from,
      matrix(from, [
        [1, 'Wola'],
        [2, 'Praga'],
        [3, 'elsewhere'],
      ]),
    )!;
    expect(Array.from(found.data)).toEqual([2, 1, 0, 2, 3, 3]);
  });

  test('are none where a row would be refused there', () => {
    expect(
      rowsUnder(contractOf([size, { name: 'rooms', dtype: 'int64' }]), from, matrix(from, [[1, 'Wola']])),
    ).toBeUndefined();
    const small = contractOf([{ ...size, maximum: 5 }, district('Wola', 'Praga')]);
    expect(rowsUnder(small, from, matrix(from, [[9, 'Wola']]))).toBeUndefined();
  });
});

test('an artefact answers any number of rows as the fit does', () => {
  const { artefact, goldenRows } = trainPipeline(loadWines(), { contract: wines, alpha: 1, seed: 0 });
  const times = 5_000;
  const rows = Array.from({ length: times }, (_, i) => goldenRows.features[i % goldenRows.features.length]!);
  const answers = answersOf(artefact, wines, matrix(wines, rows));
  expect(answers).toHaveLength(times);
  for (const [i, answer] of answers.entries()) {
    expect(Math.abs(answer - goldenRows.predictions[i % goldenRows.predictions.length]!)).toBeLessThan(1e-9);
  }
});
