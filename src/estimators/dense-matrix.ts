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
