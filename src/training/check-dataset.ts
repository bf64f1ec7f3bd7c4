/** Whether rows are what their contract says, before anything is learned from them. */
import { type Contract, mayBeMissing } from '../contract/contract.ts';
import type { Feature } from '../contract/features-schema.ts';
import { RidgelineError } from '../errors.ts';
import type { Dataset } from '../estimators/dense-matrix.ts';
import { knownCategories } from './pipeline-parameters.ts';

/** Throws `training_data` with the first row and feature that cannot be learned from, and what to do. */
export function checkDataset({ X, y }: Dataset, contract: Contract): void {
  const { names, features, declaration } = contract;
  if (X.columns !== names.length || X.data.length !== X.rows * X.columns || y.length !== X.rows) {
    throw refusal(`Expected ${names.length} columns (${names.join(', ')}) and one target a row.`);
  }
  if (X.rows < 2) throw refusal(`There are ${X.rows} rows; at least 2 are needed to fit and to cross-validate.`);
  const known = knownCategories(contract);
  const problemIn = features.map((feature, column) => problemFinder(feature, known.get(column)));
  for (let row = 0; row < X.rows; row++) {
    for (let column = 0; column < X.columns; column++) {
      const problem = problemIn[column]!(X.data[row * X.columns + column]!);
      if (problem) throw refusal(`Row ${row + 1}, ${names[column]}: ${problem}`);
    }
    if (!Number.isFinite(y[row])) {
      throw refusal(`Row ${row + 1}, ${declaration.output.name}: not a finite number. Drop the row.`);
    }
  }
}

/** A function that says what keeps a slot from being one of the feature, or undefined. */
function problemFinder(feature: Feature, known?: ReadonlySet<number>): (slot: number) => string | undefined {
  const { dtype } = feature;
  const isNullable = mayBeMissing(feature);
  const isClosed = feature.unknown === 'refuse';
  return (slot) => {
    if (Number.isNaN(slot) && isNullable) return undefined;
    if (!Number.isFinite(slot)) return 'not a finite number. Drop the row, or declare the feature nullable.';
    if (isClosed && !known?.has(slot)) return 'not a declared category. Declare it, or drop the row.';
    if (dtype === 'float64') return undefined;
    if (!Number.isSafeInteger(slot)) return `${slot} is not a whole number up to 2^53 - 1, which ${dtype} needs.`;
    if (dtype === 'bool' && slot !== 0 && slot !== 1) return `${slot} is neither 0 nor 1, which bool needs.`;
    if (dtype === 'string' && slot < 0) return `${slot} is not the place of a text.`;
    return undefined;
  };
}

const refusal = (detail: string) => new RidgelineError('training_data', { detail });
