/** How good predictions were, from what is kept of each day: cells of several days, or bins, together are as their rows together. */

/** What is kept of the labelled predictions of a version on a day. e = prediction - actual. */
export interface QualityCell {
  labelled: number;
  /** Of e, |e| and e^2. */
  mean_error: number;
  mean_absolute_error: number;
  mean_squared_error: number;
  /** Sample variance of e^2; null of one row. */
  var_squared_error: number | null;
  mean_actual: number;
  /** Sum of (actual - mean)^2. */
  syy_actual: number;
  /** Inside of their interval; null where there was none. */
  covered: number | null;
}

export interface QualityMeasures {
  labels: number;
  bias: number;
  mae: number;
  rmse: number;
  /** In which the RMSE of all rows like these is in 95 of 100 cases; null of one row. */
  rmse_lower: number | null;
  rmse_upper: number | null;
  r2: number;
}

/** The 97.5 % point of the normal distribution. */
const Z = 1.959963984540054;

/** Of no cell, undefined. */
export function measuresOf(cells: readonly QualityCell[]): QualityMeasures | undefined {
  if (cells.length === 0) return undefined;
  const { n, mean: mse, m2 } = cells.map(squaredErrorMoments).reduce(join);
  const actual = cells
    .map(({ labelled, mean_actual, syy_actual }) => ({ n: labelled, mean: mean_actual, m2: syy_actual }))
    .reduce(join);
  const meanOf = (pick: (cell: QualityCell) => number) =>
    cells.reduce((sum, cell) => sum + (cell.labelled / n) * pick(cell), 0);
  const half = n < 2 ? undefined : (Z * Math.sqrt(m2 / (n - 1))) / Math.sqrt(n);
  return {
    labels: n,
    bias: meanOf((cell) => cell.mean_error),
    mae: meanOf((cell) => cell.mean_absolute_error),
    rmse: Math.sqrt(mse),
    rmse_lower: half === undefined ? null : Math.sqrt(Math.max(0, mse - half)),
    rmse_upper: half === undefined ? null : Math.sqrt(mse + half),
    // As training/regression-metrics.ts has it.
    r2: actual.m2 > 0 ? 1 - (n * mse) / actual.m2 : Number(mse === 0),
  };
}

interface Moments {
  n: number;
  mean: number;
  /** Sum of the squared distances from the mean. */
  m2: number;
}

function squaredErrorMoments({ labelled: n, mean_squared_error: mean, var_squared_error }: QualityCell): Moments {
  return { n, mean, m2: (var_squared_error ?? 0) * (n - 1) };
}

/** Chan, Golub and LeVeque 1983: no digits are lost where the means are far from 0. */
function join(a: Moments, b: Moments): Moments {
  const n = a.n + b.n;
  const delta = b.mean - a.mean;
  return { n, mean: a.mean + (delta * b.n) / n, m2: a.m2 + b.m2 + (delta * delta * a.n * b.n) / n };
}

export interface Coverage {
  level: number;
  covered: number;
  share: number;
  /** Wilson's interval of the share, 95 %. */
  lower: number;
  upper: number;
}

/** How many of n truths lay in the intervals of a level; null where there was none for some of them, or no truth. */
export function coverageOf(cells: readonly QualityCell[], level: number): Coverage | null {
  let [n, covered] = [0, 0];
  for (const cell of cells) {
    if (cell.covered === null) return null;
    n += cell.labelled;
    covered += cell.covered;
  }
  return n === 0 ? null : { level, covered, share: covered / n, ...wilson(covered, n) };
}

/** Wilson 1927: an interval of a share that keeps its 95 % also near 0 and 1. */
function wilson(k: number, n: number): { lower: number; upper: number } {
  const share = k / n;
  const centre = (share + (Z * Z) / (2 * n)) / (1 + (Z * Z) / n);
  const half = (Z / (1 + (Z * Z) / n)) * Math.sqrt((share * (1 - share)) / n + (Z * Z) / (4 * n * n));
  return { lower: Math.max(0, centre - half), upper: Math.min(1, centre + half) };
}

/** Of a bin of predictions: those that are labelled, and the sum of their e^2. */
export interface Stratum {
  labels: number;
  squaredError: number;
  /** How many of all predictions are in it. */
  predictions: number;
}

/**
 * The RMSE as it would be if the labelled rows were spread over the bins as all are. It mends what the prediction explains of
 * the choice of the labelled ones, and nothing else. Bins without labels are left out; `share` is that of the others in all.
 */
export function postStratified(strata: readonly Stratum[]): { rmse: number; share: number } | undefined {
  const all = strata.reduce((sum, { predictions }) => sum + predictions, 0);
  const known = strata.filter(({ labels }) => labels > 0);
  const weight = known.reduce((sum, { predictions }) => sum + predictions, 0);
  if (weight === 0) return undefined;
  const squares = known.reduce(
    (sum, { labels, squaredError, predictions }) => sum + predictions * (squaredError / labels),
    0,
  );
  return { rmse: Math.sqrt(squares / weight), share: weight / all };
}
