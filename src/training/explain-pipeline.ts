/** What each feature adds to the predictions of a fitted pipeline: inference/explanation.ts says how that is kept and read. */
import type { Contract } from '../contract/contract.ts';
import type { DenseMatrix } from '../estimators/dense-matrix.ts';
import { indicatorPositions } from '../estimators/one-hot-encoder.ts';
import type { FittedPipeline } from '../estimators/pipeline.ts';
import type { CategoricalEffect, Explanation, NumericalEffect } from '../inference/explanation.ts';
import { countsOf } from './feature-profile.ts';
import { categoryName } from './pipeline-parameters.ts';

/**
 * Measured from the n x p matrix of slots X that the pipeline was fitted to, so that the base value is the mean of its answers
 * there. With w the weights, m and s mean and scale of the scaler, and f_c the share of category c in X:
 *
 *     numerical     w (x - m) / s              as the mean of the scaled column is 0
 *     categorical   w_x - sum of f_c w_c       w_x = 0 for a category that was not learned
 *     base value    intercept + sum of f_c w_c over all categories of all features
 */
export function explainPipeline(pipeline: FittedPipeline, X: DenseMatrix, contract: Contract): Explanation {
  const { imputer, transformer, ridge } = pipeline;
  const { numerical, categorical, scaler, encoder } = transformer;
  const replacement = new Map(imputer.columns.map((column, k) => [column, imputer.statistics[k]!]));
  const effects = new Map<number, NumericalEffect | CategoricalEffect>();
  numerical.forEach((column, k) => {
    const slope = ridge.coef[k]! / scaler.scale[k]!;
    const mean = scaler.mean[k]!;
    const filled = replacement.get(column) ?? mean;
    const missing = filled === mean ? 0 : slope * (filled - mean);
    effects.set(column, { kind: 'numerical', slope, mean, missing });
  });

  let baseValue = ridge.intercept;
  const positions = indicatorPositions(encoder, numerical.length);
  categorical.forEach((column, k) => {
    const weightOf = (slot: number) => {
      const position = positions[k]!.get(slot);
      return position === undefined ? 0 : ridge.coef[position]!;
    };
    const filled = (slot: number) => (Number.isNaN(slot) ? (replacement.get(column) ?? slot) : slot);
    let mean = 0;
    for (const [slot, count] of countsOf(slotsOf(X, column))) mean += (weightOf(filled(slot)) * count) / X.rows;
    baseValue += mean;
    const named = Array.from(encoder.categories[k]!, (category) => ({
      name: categoryName(contract, column, category),
      effect: weightOf(category) - mean,
    }));
    // null is no name of a value: what it adds is `missing`.
    const learned = named.filter(({ name }) => name !== null);
    effects.set(column, {
      kind: 'categorical',
      effects: Object.fromEntries(learned.map(({ name, effect }) => [String(name), effect])),
      other: -mean,
      missing: weightOf(filled(Number.NaN)) - mean,
    });
  });
  return {
    base_value: baseValue,
    features: Object.fromEntries(contract.names.map((name, column) => [name, effects.get(column)!])),
  };
}

function* slotsOf({ rows, columns, data }: DenseMatrix, column: number): Generator<number> {
  for (let row = 0; row < rows; row++) yield data[row * columns + column]!;
}
