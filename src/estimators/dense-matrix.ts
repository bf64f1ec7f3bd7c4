/** A dense matrix in row-major order: element (i, j) is `data[i * columns + j]`. */
export interface DenseMatrix {
  rows: number;
  columns: number;
  data: Float64Array;
}

/** Samples and their targets: X is n x p, y has n elements. */
export interface Dataset {
  X: DenseMatrix;
  y: Float64Array;
}

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
