import { expect, test } from 'vitest';
import { doubtAbout } from '../../src/training/doubt.ts';

function doubt(rows: number, { folds = 10, cv_r2 = 0.5, y = (i: number) => i } = {}): string | undefined {
  const dataset = {
    X: { rows, columns: 1, data: new Float64Array(rows) },
    y: Float64Array.from({ length: rows }, (_, i) => y(i)),
  };
  return doubtAbout({ metrics: { cv_r2 }, hyperparameters: { folds } }, dataset)?.reason;
}

test('data are doubted where a fold has fewer than 10 rows, however many folds there are', () => {
  expect(doubt(99)).toBe('too_few_rows');
  expect(doubt(100)).toBeUndefined();
  expect(doubt(5, { folds: 5 })).toBe('too_few_rows');
});

test('data are doubted where the target is one value, or the mean of it would be nearer', () => {
  expect(doubt(200, { y: () => 7, cv_r2: 1 })).toBe('constant_target');
  expect(doubt(200, { cv_r2: -1e-9 })).toBe('negative_r2');
  expect(doubt(200, { cv_r2: 0 })).toBeUndefined();
});
