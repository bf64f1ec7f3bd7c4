/**
 * Ridge as in scikit-learn with `solver='cholesky'`: minimises |y - Xw - b|^2 + alpha |w|^2 with the intercept b not
 * penalised, by w = (Xc' Xc + alpha I)^-1 Xc' yc on centred data and b = mean(y) - mean(X) w.
 */
import { RidgelineError } from '../errors.ts';
import { factorise, solveFactorised } from './cholesky.ts';

/** What was learned: `coef_` (one element for each column of the design matrix) and `intercept_` of scikit-learn. */
export interface FittedRidge {
  coef: Float64Array;
  intercept: number;
  alpha: number;
}

/** A matrix of rows x columns that is read one row at a time into a buffer of `columns` elements. */
export interface DesignMatrix {
  rows: number;
  columns: number;
  readRow: (row: number, out: Float64Array) => void;
}

/** All that a ridge fit needs to know of n samples of p columns, whichever way it was summed up. */
export interface NormalEquations {
  /** n: each element of the sums below carries the rounding errors of so many additions. */
  rows: number;
  columnMeans: Float64Array;
  targetMean: number;
  /** Xc' Xc, p x p in row-major order; only the lower triangle is read. */
  gram: Float64Array;
  /** Xc' yc. */
  moment: Float64Array;
}

/**
 * Fits on an n x p design matrix and n targets, alpha at least 0. Memory is p^2 whatever n; time is n p^2.
 * Throws `singular_system` when X'X + alpha I has no stable factorisation and `training_data` when numbers overflow.
 */
export function fitRidge(design: DesignMatrix, y: Float64Array, { alpha }: { alpha: number }): FittedRidge {
  return solveRidge(centredNormalEquations(design, y), { alpha });
}

/** The fit from the normal equations; throws as `fitRidge` does. */
export function solveRidge(equations: NormalEquations, { alpha }: { alpha: number }): FittedRidge {
  const { columnMeans, targetMean } = equations;
  const coef = solvePenalised(equations, alpha);
  const intercept = coef.reduce((sum, weight, k) => sum - weight * columnMeans[k]!, targetMean);
  if (!Number.isFinite(intercept) || !coef.every(Number.isFinite)) {
    throw overflow();
  }
  return { coef, intercept, alpha };
}

/** The prediction for one row of the design matrix. */
export function predictRidge({ coef, intercept }: FittedRidge, row: Float64Array): number {
  let sum = intercept;
  for (let k = 0; k < coef.length; k++) sum += coef[k]! * row[k]!;
  return sum;
}

function means(design: DesignMatrix, y: Float64Array) {
  const columnMeans = new Float64Array(design.columns);
  const row = new Float64Array(design.columns);
  let targetSum = 0;
  for (let i = 0; i < design.rows; i++) {
    design.readRow(i, row);
    for (let k = 0; k < row.length; k++) columnMeans[k]! += row[k]!;
    targetSum += y[i]!;
  }
  return { columnMeans: columnMeans.map((sum) => sum / design.rows), targetMean: targetSum / design.rows };
}

/** Centred before they are formed: an offset much larger than the spread would cancel otherwise. */
function centredNormalEquations(design: DesignMatrix, y: Float64Array): NormalEquations {
  const { columnMeans, targetMean } = means(design, y);
  const p = design.columns;
  const gram = new Float64Array(p * p);
  const moment = new Float64Array(p);
  const row = new Float64Array(p);
  for (let i = 0; i < design.rows; i++) {
    design.readRow(i, row);
    const target = y[i]! - targetMean;
    for (let j = 0; j < p; j++) row[j]! -= columnMeans[j]!;
    for (let j = 0; j < p; j++) {
      const value = row[j]!;
      const start = j * p;
      for (let k = 0; k <= j; k++) gram[start + k]! += value * row[k]!;
      moment[j]! += value * target;
    }
  }
  return { rows: design.rows, columnMeans, targetMean, gram, moment };
}

function solvePenalised({ rows, gram, moment }: NormalEquations, alpha: number): Float64Array {
  const p = moment.length;
  const matrix = gram.slice();
  let largest = 0;
  for (let j = 0; j < p; j++) {
    matrix[j * p + j]! += alpha;
    largest = Math.max(largest, matrix[j * p + j]!);
  }
  if (!matrix.every(Number.isFinite)) throw overflow();
  // A pivot below this is rounding error, of the n additions of a sum (Higham 2002, section 4.2) or of the elimination of
  // p columns (section 10.3), and a solution would be noise. Indicators that sum to 1 were seen to leave a last pivot of
  // 0.24 n times epsilon and the largest element, where 0 is right.
  const smallest = (rows + p) * Number.EPSILON * largest;
  if (factorise(matrix, p) > smallest) return solveFactorised(matrix, moment);
  throw new RidgelineError('singular_system', {
    detail: `Some columns are combinations of others and alpha is ${alpha}. Use a larger alpha, such as --alpha 1.0.`,
  });
}

function overflow(): RidgelineError {
  return new RidgelineError('training_data', {
    detail: 'The fit overflows: bring the features and the target nearer to 1, or drop rows with extreme values.',
  });
}
