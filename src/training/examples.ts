/** A derived declaration shows values of a real row. */
import { type Contract, createContract } from '../contract/contract.ts';
import { parseDeclaration } from '../contract/declaration.ts';
import { valueOfSlot } from '../contract/rows.ts';
import type { Dataset, DenseMatrix } from '../estimators/dense-matrix.ts';

/** The contract with the values of the first of the rows with the fewest nulls as examples. */
export function withExamples(contract: Contract, { X, y }: Dataset): Contract {
  const row = fullestRow(X);
  const { declaration } = contract;
  const features = declaration.features.map((feature, i) => ({
    ...feature,
    example: valueOfSlot(feature, X.data[row * X.columns + i]!, { contract }),
  }));
  const output = { ...declaration.output, example: y[row]! };
  return createContract(parseDeclaration({ ...declaration, features, output }));
}

function fullestRow({ rows, columns, data }: DenseMatrix): number {
  let best = 0;
  let fewest = Number.POSITIVE_INFINITY;
  for (let row = 0; row < rows && fewest > 0; row++) {
    let nulls = 0;
    for (let i = row * columns; i < (row + 1) * columns; i++) nulls += Number(Number.isNaN(data[i]));
    if (nulls >= fewest) continue;
    fewest = nulls;
    best = row;
  }
  return best;
}
