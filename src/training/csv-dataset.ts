/** Training rows from a CSV file whose header names the declared features and the target, in any order and case. */

import type { Contract } from '../contract/contract.ts';
import { RidgelineError, reasonOf } from '../errors.ts';
import type { Dataset } from '../estimators/dense-matrix.ts';
import { findColumns } from './csv-header.ts';
import { forEachRecord } from './csv-records.ts';
import { readDecimal } from './decimal.ts';

const FIRST_CAPACITY_ROWS = 1024;

/**
 * Reads the file into the declared column order; other columns are ignored, but counted. Memory is at most three times that of the
 * rows, whatever else the file holds. Throws `training_data` for a bad file.
 */
export async function readCsvDataset(path: string, contract: Contract): Promise<{ dataset: Dataset; columns: number }> {
  const wanted = [...contract.names, contract.declaration.output.name];
  const columns = wanted.length - 1;
  let data = new Float64Array(FIRST_CAPACITY_ROWS * columns);
  let y = new Float64Array(FIRST_CAPACITY_ROWS);
  let rows = 0;
  let header: string[] | undefined;
  let positions: number[] = [];

  function readRecord(record: string[]): void {
    if (!header) {
      header = record;
      positions = findColumns(record, wanted, path);
      return;
    }
    if (record.length !== header.length) {
      throw new Error(
        `row ${rows + 1} has ${record.length} fields and the header ${header.length}; correct or drop it`,
      );
    }
    if (rows === y.length) {
      data = doubled(data);
      y = doubled(y);
    }
    for (let k = 0; k < columns; k++) data[rows * columns + k] = readNumber(record[positions[k]!]!, rows, wanted[k]!);
    y[rows] = readNumber(record[positions[columns]!]!, rows, wanted[columns]!);
    rows++;
  }

  if (path === '-') {
    throw new RidgelineError('training_data', { detail: 'Name a file; standard input is not read.' });
  }
  try {
    await forEachRecord(path, readRecord);
  } catch (error) {
    if (error instanceof RidgelineError) throw error;
    const isOfSystem = (error as NodeJS.ErrnoException).code !== undefined;
    const advice = isOfSystem ? ' Name a CSV file that is there and that this user may read.' : '';
    const detail = `${path} cannot be read: ${reasonOf(error)}.${advice}`;
    throw new RidgelineError('training_data', { detail, cause: error });
  }
  if (!header) throw new RidgelineError('training_data', { detail: `${path} is empty. It needs a header and rows.` });
  const X = { rows, columns, data: data.subarray(0, rows * columns) };
  return { dataset: { X, y: y.subarray(0, rows) }, columns: header.length };
}

/** The same values with as much room again, which takes no memory before it is written to. */
function doubled(values: Float64Array): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(2 * values.length);
  larger.set(values);
  return larger;
}

function readNumber(text: string, row: number, name: string): number {
  const value = readDecimal(text);
  if (!Number.isNaN(value)) return value;
  const shown = JSON.stringify(text.trim().slice(0, 40));
  const isOtherBase = text.trim() !== '' && Number.isFinite(Number(text));
  throw new RidgelineError('training_data', {
    detail: `Row ${row + 1}, ${name}: ${shown} is not a finite number${isOtherBase ? ' in decimal' : ''}. Correct or drop the row.`,
  });
}
