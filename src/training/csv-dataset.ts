/** Training rows from a CSV file whose header names the declared features and the target, in any order and case. */
import { createReadStream } from 'node:fs';
import Papa from 'papaparse';
import { RidgelineError, reasonOf } from '../errors.ts';
import type { Dataset } from '../estimators/dense-matrix.ts';
import { type FeatureSchema, featureNames } from '../feature-schema.ts';

const FIRST_CAPACITY_ROWS = 1024;
const CHUNK_BYTES = 1024 * 1024;

/**
 * Reads the file into the declared column order; other columns are ignored. Memory is at most three times that of the
 * rows, whatever else the file holds. Throws `training_data` for a bad file.
 */
export async function readCsvDataset(path: string, schema: FeatureSchema): Promise<Dataset> {
  const wanted = [...featureNames(schema), schema.target.name];
  const columns = wanted.length - 1;
  let data = new Float64Array(FIRST_CAPACITY_ROWS * columns);
  let y = new Float64Array(FIRST_CAPACITY_ROWS);
  let rows = 0;
  let header: string[] | undefined;
  let positions: number[] = [];

  function readRecord(record: string[]): void {
    if (!header) {
      header = record;
      positions = findColumns(record, wanted);
      return;
    }
    if (record.length !== header.length) {
      throw new Error(`row ${rows + 1} has ${record.length} fields and the header ${header.length}`);
    }
    if (rows === y.length) {
      data = doubled(data);
      y = doubled(y);
    }
    for (let k = 0; k < columns; k++) data[rows * columns + k] = readNumber(record[positions[k]!]!, rows, wanted[k]!);
    y[rows] = readNumber(record[positions[columns]!]!, rows, wanted[columns]!);
    rows++;
  }

  try {
    await forEachRecord(path, readRecord);
  } catch (error) {
    if (error instanceof RidgelineError) throw error;
    throw new RidgelineError('training_data', { detail: `${path} cannot be read: ${reasonOf(error)}.`, cause: error });
  }
  return { X: { rows, columns, data: data.subarray(0, rows * columns) }, y: y.subarray(0, rows) };
}

/** Hands on the records that are not empty, chunk by chunk: a promise for each would take longer than to parse it. */
function forEachRecord(path: string, onRecord: (record: string[]) => void): Promise<void> {
  const file = createReadStream(path, { encoding: 'utf8', highWaterMark: CHUNK_BYTES });
  return new Promise<void>((resolve, reject) => {
    Papa.parse<string[]>(file, {
      delimiter: ',',
      skipEmptyLines: 'greedy',
      beforeFirstChunk: (text) => text.replace(/^\ufeff/, ''),
      chunk({ data, errors }, parser) {
        try {
          if (errors[0]) throw new Error(`${errors[0].message} (record ${errors[0].row})`);
          data.forEach(onRecord);
        } catch (error) {
          // In this order: to abort completes as well.
          reject(error);
          parser.abort();
        }
      },
      complete: () => resolve(),
      error: reject,
    });
  }).finally(() => file.destroy());
}

/** The same values with as much room again, which takes no memory before it is written to. */
function doubled(values: Float64Array): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(2 * values.length);
  larger.set(values);
  return larger;
}

function findColumns(header: readonly string[], wanted: readonly string[]): number[] {
  const present = header.map((name) => name.trim().toLowerCase());
  const missing = wanted.filter((name) => !present.includes(name.toLowerCase()));
  if (missing.length > 0) {
    throw new RidgelineError('training_data', { detail: `The header lacks ${missing.join(', ')}. Add these columns.` });
  }
  return wanted.map((name) => present.indexOf(name.toLowerCase()));
}

function readNumber(text: string, row: number, name: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value)) {
    throw new RidgelineError('training_data', {
      detail: `Row ${row + 1}, ${name}: ${JSON.stringify(text.trim().slice(0, 40))} is not a finite number. Correct or drop the row.`,
    });
  }
  return value;
}
