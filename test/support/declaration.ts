/** A declaration and rows for tests of what takes any: they stay as they are when another data set ships. */
import type { Dataset } from '../../src/estimators/dense-matrix.ts';
import type { FeatureSchema } from '../../src/feature-schema.ts';

export const wines = {
  features: [
    { name: 'acidity', kind: 'numerical', description: 'Tartaric acid', unit: 'g/l', example: 6.2 },
    { name: 'vineyard', kind: 'categorical', description: 'Where it has grown', unit: 'number', example: 3 },
    { name: 'sugar', kind: 'numerical', description: 'Residual sugar', unit: 'g/l', example: 2.5 },
    { name: 'alcohol', kind: 'numerical', description: 'Alcohol', unit: '% by volume', example: 12.5 },
    { name: 'oak', kind: 'categorical', description: 'Aged in oak', unit: '1 yes, 0 no', example: 1 },
  ],
  target: { name: 'score', description: 'What tasters give it', unit: 'points', example: 7 },
} as const satisfies FeatureSchema;

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
