import type { Dataset } from '../../src/estimators/dense-matrix.ts';

/** The samples at the given positions, copied, in that order. */
export function takeRows(dataset: Dataset, positions: ArrayLike<number>): Dataset {
  const { columns, data } = dataset.X;
  const X = { rows: positions.length, columns, data: new Float64Array(positions.length * columns) };
  const y = new Float64Array(positions.length);
  for (let row = 0; row < positions.length; row++) {
    const from = positions[row]! * columns;
    X.data.set(data.subarray(from, from + columns), row * columns);
    y[row] = dataset.y[positions[row]!]!;
  }
  return { X, y };
}
