/**
 * The Boston housing data set as this service declares it: the one place that says what a caller may send. Validation,
 * types, OpenAPI, training columns, the ONNX input and the stored row follow from it. Descriptions are those of Harrison
 * and Rubinfeld (1978); the example is the article's house, the first row of the data set.
 */
import type { FeatureSchema } from '../feature-schema.ts';

export const housing = {
  features: [
    {
      name: 'CRIM',
      kind: 'numerical',
      description: 'Crime rate per capita by town',
      unit: 'per capita',
      example: 0.00632,
    },
    {
      name: 'ZN',
      kind: 'numerical',
      description: 'Residential land zoned for lots over 25,000 sq ft',
      unit: '%',
      example: 18,
    },
    { name: 'INDUS', kind: 'numerical', description: 'Non-retail business acres per town', unit: '%', example: 2.31 },
    {
      name: 'CHAS',
      kind: 'categorical',
      description: 'Tract bounds the Charles River',
      unit: '1 yes, 0 no',
      example: 0,
    },
    {
      name: 'NOX',
      kind: 'numerical',
      description: 'Nitric oxides concentration',
      unit: 'parts per 10 million',
      example: 0.538,
    },
    { name: 'RM', kind: 'numerical', description: 'Rooms per dwelling, average', unit: 'rooms', example: 6.575 },
    { name: 'AGE', kind: 'numerical', description: 'Owner-occupied units built before 1940', unit: '%', example: 65.2 },
    {
      name: 'DIS',
      kind: 'numerical',
      description: 'Weighted distance to five employment centres',
      unit: 'index',
      example: 4.09,
    },
    { name: 'RAD', kind: 'categorical', description: 'Accessibility to radial highways', unit: 'index', example: 1 },
    { name: 'TAX', kind: 'numerical', description: 'Property tax rate', unit: 'USD per 10,000 USD', example: 296 },
    { name: 'PTRATIO', kind: 'numerical', description: 'Pupils per teacher by town', unit: 'ratio', example: 15.3 },
    {
      name: 'B',
      kind: 'numerical',
      description: '1000 (Bk - 0.63)^2, Bk the share of Black residents',
      unit: 'index',
      example: 396.9,
    },
    { name: 'LSTAT', kind: 'numerical', description: 'Lower-status population', unit: '%', example: 4.98 },
  ],
  target: { name: 'MEDV', description: 'Median value of owner-occupied homes', unit: '1000 USD', example: 24 },
} as const satisfies FeatureSchema;
