/** Declarations and rows for tests of what takes any: they stay as they are when another data set ships. */
import { type Contract, createContract } from '../../src/contract/contract.ts';
import { parseDeclaration } from '../../src/contract/declaration.ts';
import { fromValues } from '../../src/contract/rows.ts';
import type { Value } from '../../src/contract/values.ts';
import type { Dataset } from '../../src/estimators/dense-matrix.ts';

/** The contract of these features, given as a features file has them. */
export function contractOf(features: readonly object[], output: object = {}): Contract {
  return createContract(parseDeclaration({ name: 'test', features, output: { task: 'regression', ...output } }));
}

export const wines = contractOf(
  [
    { name: 'acidity', dtype: 'float64', description: 'Tartaric acid', unit: 'g/l', example: 6.2 },
    {
      name: 'vineyard',
      dtype: 'int64',
      kind: 'categorical',
      description: 'Where it has grown',
      unit: 'number',
      example: 3,
    },
    { name: 'sugar', dtype: 'float64', description: 'Residual sugar', unit: 'g/l', example: 2.5 },
    { name: 'alcohol', dtype: 'float64', description: 'Alcohol', unit: '% by volume', example: 12.5 },
    { name: 'oak', dtype: 'int64', kind: 'categorical', description: 'Aged in oak', unit: '1 yes, 0 no', example: 1 },
  ],
  { name: 'score', description: 'What tasters give it', unit: 'points', example: 7 },
);

/** Every type, with and without nulls, categories that are open and closed, and names that need care. */
export const everyType = contractOf(
  [
    { name: 'size', dtype: 'float64', minimum: 0, maximum: 1e6, unit: 'm2', example: 71.5 },
    { name: 'Rooms (total)', dtype: 'int64', nullable: true, example: 3 },
    { name: 'floor', dtype: 'int64', kind: 'categorical', nullable: true },
    { name: 'lift', dtype: 'bool' },
    { name: 'garden', dtype: 'bool', nullable: true },
    { name: 'district', dtype: 'string', categories: ['Mokotów', 'Śródmieście', 'Wola'], example: 'Wola' },
    {
      name: 'heating',
      dtype: 'string',
      categories: ['gas', 'district'],
      unknown: 'refuse',
      nullable: true,
      null_as: 'none',
    },
    { name: 'remark/~', dtype: 'string', optional: true, max_length: 200 },
    { name: 'select', dtype: 'float64', optional: true },
  ],
  { name: 'price', description: 'What it was sold for', unit: '1000 PLN', example: 812 },
);

/** Made-up wines, the same at each call: scores around 7 that follow from the features, but for a part that nothing explains. */
export function loadWines(rows = 120): Dataset {
  const X = Array.from({ length: rows }, (_, i) => [
    6 + 1.5 * Math.sin(i * 1.7),
    (i * 7) % 5,
    3 + 2 * Math.cos(i * 2.3),
    12.5 + 1.2 * Math.sin(i * 0.9 + 1),
    i % 3 === 0 ? 1 : 0,
  ]);
  const y = X.map(
    ([acidity, vineyard, sugar, alcohol, oak], i) =>
      -15 - 1.3 * acidity! + 1.1 * vineyard! - 0.4 * sugar! + 2.2 * alcohol! + 1.5 * oak! + Math.sin(i * 12.9898),
  );
  return { X: { rows, columns: wines.features.length, data: Float64Array.from(X.flat()) }, y: Float64Array.from(y) };
}

/** Made-up homes, the same at each call: every value that may be null is so in some, and the price follows from the size. */
export function loadHomes(rows = 60): Dataset {
  const values = Array.from({ length: rows }, (_, i): Value[] => [
    40 + ((i * 7) % 90),
    i % 5 === 0 ? null : 1 + (i % 6),
    i % 7 === 0 ? null : i % 4,
    i % 2 === 0,
    i % 3 === 0 ? null : i % 3 === 1,
    ['Mokotów', 'Śródmieście', 'Wola'][i % 3]!,
    i % 4 === 0 ? null : ['gas', 'district'][i % 2]!,
    null,
    i % 3 === 0 ? null : Math.cos(i),
  ]);
  const data = Float64Array.from(fromValues(everyType, values).features);
  const y = values.map(([size], i) => 5 * Number(size) + Math.sin(i * 12.9898));
  return { X: { rows, columns: everyType.features.length, data }, y: Float64Array.from(y) };
}
