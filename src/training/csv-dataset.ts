/** Training rows from a CSV file whose header names the declared features and the target, in any order and case. */
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { parse } from 'csv-parse';
import { RidgelineError, reasonOf } from '../errors.ts';
import type { Dataset } from '../estimators/dense-matrix.ts';
import { type FeatureSchema, featureNames } from '../feature-schema.ts';

/** Reads the file into the declared column order; other columns are ignored. Throws `training_data` for a bad file. */
export async function readCsvDataset(path: string, schema: FeatureSchema): Promise<Dataset> {
  const names = featureNames(schema);
  const wanted = [...names, schema.target.name];
  const values: number[] = [];
  let positions: number[] | undefined;
  let rows = 0;
  try {
    const records = parse({ bom: true, trim: true, skip_empty_lines: true });
    // A file that cannot be read destroys the parser with its error, which ends the loop below.
    pipeline(createReadStream(path), records, () => undefined);
    for await (const record of records as AsyncIterable<string[]>) {
      if (!positions) {
        positions = findColumns(record, wanted);
        continue;
      }
      rows++;
      positions.forEach((position, k) => {
        values.push(readNumber(record[position]!, rows, wanted[k]!));
      });
    }
  } catch (error) {
    if (error instanceof RidgelineError) throw error;
    throw new RidgelineError('training_data', { detail: `${path} cannot be read: ${reasonOf(error)}.`, cause: error });
  }
  const width = wanted.length;
  return {
    X: {
      rows,
      columns: names.length,
      data: Float64Array.from({ length: rows * names.length }, (_, i) => {
        return values[Math.floor(i / names.length) * width + (i % names.length)]!;
      }),
    },
    y: Float64Array.from({ length: rows }, (_, row) => values[row * width + names.length]!),
  };
}

function findColumns(header: readonly string[], wanted: readonly string[]): number[] {
  const present = header.map((name) => name.toLowerCase());
  const missing = wanted.filter((name) => !present.includes(name.toLowerCase()));
  if (missing.length > 0) {
    throw new RidgelineError('training_data', { detail: `The header lacks ${missing.join(', ')}. Add these columns.` });
  }
  return wanted.map((name) => present.indexOf(name.toLowerCase()));
}

function readNumber(text: string, row: number, name: string): number {
  const value = text === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value)) {
    throw new RidgelineError('training_data', {
      detail: `Row ${row}, ${name}: ${JSON.stringify(text.slice(0, 40))} is not a finite number. Correct or drop the row.`,
    });
  }
  return value;
}
