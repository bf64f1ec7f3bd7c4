/** The fit of the pipeline from moments: what `fitPipeline` makes of the samples themselves, but for rounding. */
import type { Dataset } from './dense-matrix.ts';
import { type Moments, momentsOf } from './moments.ts';
import { type FittedOneHotEncoder, fitOneHotEncoder } from './one-hot-encoder.ts';
import type { FittedPipeline, PipelineParameters } from './pipeline.ts';
import { type NormalEquations, solveRidge } from './ridge.ts';
import { fitSimpleImputer, impute, noImputer } from './simple-imputer.ts';
import { type FittedStandardScaler, scaleOf } from './standard-scaler.ts';

/**
 * Fits to samples with many categories: their moments are added up without the indicators that are 0, nearly all of them,
 * so that time grows with the number of columns of X and not of the indicators. Throws as `fitRidge` does.
 */
export function fitWidePipeline({ X, y }: Dataset, parameters: PipelineParameters): FittedPipeline {
  const imputer = fitSimpleImputer(X, parameters.imputed ?? []);
  const filled = impute(imputer, X);
  const encoder = fitOneHotEncoder(filled, parameters.categorical, parameters.known);
  const moments = momentsOf({ X: filled, y }, Uint32Array.from(y.keys()), parameters, encoder);
  return { ...fitPipelineFromMoments(moments, encoder, parameters, X.columns), imputer };
}

/**
 * Fits to moments of imputed samples whose indicators are those of `encoder`, on data of `nFeaturesIn` columns; a category
 * that none of the samples has is not learned. Throws as `fitRidge` does.
 */
export function fitPipelineFromMoments(
  moments: Moments,
  encoder: FittedOneHotEncoder,
  { alpha, numerical, categorical }: Pick<PipelineParameters, 'alpha' | 'numerical' | 'categorical'>,
  nFeaturesIn: number,
): FittedPipeline {
  const scaler = scalerOf(moments, numerical.length);
  const counts = moments.sums.subarray(numerical.length + 1);
  const equations = normalEquations(moments, scaler, counts);
  return {
    nFeaturesIn,
    imputer: noImputer,
    transformer: {
      numerical,
      categorical,
      scaler,
      encoder: seenCategories(encoder, counts),
      width: equations.moment.length,
    },
    ridge: solveRidge(equations, { alpha }),
  };
}

/**
 * Sum of (a - mean(a)) (b - mean(b)) for two variables, a not before b. Divided last, because the difference is exact
 * for indicators: a category that nearly all samples have would lose its digits otherwise.
 */
function centredProduct({ rows, sums, products }: Moments, a: number, b: number): number {
  return (rows * products[a * sums.length + b]! - sums[a]! * sums[b]!) / rows;
}

function scalerOf(moments: Moments, columns: number): FittedStandardScaler {
  const { rows } = moments;
  const mean = moments.origin.slice(0, columns);
  const variance = mean.map((_, k) => centredProduct(moments, k, k) / rows);
  const scale = variance.map((value, k) => scaleOf(value, mean[k]!, rows));
  return { mean, variance, scale, nSamplesSeen: rows };
}

/** Of the scaled numerical columns and the indicators that are 1 for some sample, as the ColumnTransformer has them. */
function normalEquations(moments: Moments, { scale }: FittedStandardScaler, counts: Float64Array): NormalEquations {
  const { rows, origin, sums } = moments;
  const target = scale.length;
  const variables = [...scale.keys(), ...Array.from(counts.keys(), (k) => target + 1 + k).filter((k) => sums[k]! > 0)];
  const p = variables.length;
  const scaleAt = (k: number) => scale[k] ?? 1;
  const gram = new Float64Array(p * p);
  variables.forEach((a, j) => {
    for (let k = 0; k <= j; k++) gram[j * p + k] = centredProduct(moments, a, variables[k]!) / scaleAt(j) / scaleAt(k);
  });
  return {
    rows,
    columnMeans: Float64Array.from(variables, (a, k) => sums[a]! / rows / scaleAt(k)),
    targetMean: origin[target]! + sums[target]! / rows,
    gram,
    moment: Float64Array.from(variables, (a, k) => {
      return centredProduct(moments, Math.max(a, target), Math.min(a, target)) / scaleAt(k);
    }),
  };
}

function seenCategories({ categories }: FittedOneHotEncoder, counts: Float64Array): FittedOneHotEncoder {
  let next = 0;
  return { categories: categories.map((values) => values.filter(() => counts[next++]! > 0)) };
}
