/**
 * Cholesky's factorisation A = L L' of a symmetric positive definite matrix, and the solution of A x = b by it (Golub and
 * Van Loan 2013, section 4.2). Matrices are p x p in row-major order; their lower triangle alone is read and written.
 */

/**
 * Overwrites A with L. Returns the smallest pivot, the square of an element on L's diagonal. One that is not above 0 is
 * returned at once: A is not positive definite, and what is left in it means nothing.
 */
export function factorise(A: Float64Array, p: number): number {
  let smallest = Number.POSITIVE_INFINITY;
  for (let k = 0; k < p; k++) {
    const pivot = A[k * p + k]! - dot(A, k * p, k * p, k);
    if (!(pivot > 0)) return pivot;
    smallest = Math.min(smallest, pivot);
    A[k * p + k] = Math.sqrt(pivot);
    let j = k + 1;
    for (; j + 4 <= p; j += 4) eliminateInFour(A, p, k, j);
    for (; j < p; j++) A[j * p + k] = (A[j * p + k]! - dot(A, j * p, k * p, k)) / A[k * p + k]!;
  }
  return smallest;
}

/** Of two rows that begin at `a` and `b`, over their first n elements. */
function dot(A: Float64Array, a: number, b: number, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += A[a + i]! * A[b + i]!;
  return sum;
}

/**
 * Column k of the rows j to j + 3. Four sums at once take half of the time and less, because additions wait for each other
 * within a sum but not between sums; each sum has the order, and so the bits, that it has alone.
 */
function eliminateInFour(A: Float64Array, p: number, k: number, j: number): void {
  const pivotRow = k * p;
  const row0 = j * p;
  const row1 = row0 + p;
  const row2 = row1 + p;
  const row3 = row2 + p;
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  for (let i = 0; i < k; i++) {
    const element = A[pivotRow + i]!;
    sum0 += A[row0 + i]! * element;
    sum1 += A[row1 + i]! * element;
    sum2 += A[row2 + i]! * element;
    sum3 += A[row3 + i]! * element;
  }
  const diagonal = A[pivotRow + k]!;
  A[row0 + k] = (A[row0 + k]! - sum0) / diagonal;
  A[row1 + k] = (A[row1 + k]! - sum1) / diagonal;
  A[row2 + k] = (A[row2 + k]! - sum2) / diagonal;
  A[row3 + k] = (A[row3 + k]! - sum3) / diagonal;
}

/** The solution x from L. */
export function solveFactorised(L: Float64Array, b: Float64Array): Float64Array {
  const p = b.length;
  const x = b.slice();
  for (let k = 0; k < p; k++) {
    for (let i = 0; i < k; i++) x[k]! -= x[i]! * L[k * p + i]!;
    x[k]! /= L[k * p + k]!;
  }
  for (let k = p - 1; k >= 0; k--) {
    for (let i = k + 1; i < p; i++) x[k]! -= x[i]! * L[i * p + k]!;
    x[k]! /= L[k * p + k]!;
  }
  return x;
}
