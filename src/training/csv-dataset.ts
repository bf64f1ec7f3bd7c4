/** The rows of a CSV file under a contract. */
import { createHash } from 'node:crypto';
import type { Contract } from '../contract/contract.ts';
import type { MissingCells } from '../contract/feature-notes.ts';
import { RidgelineError } from '../errors.ts';
import type { Dataset } from '../estimators/dense-matrix.ts';
import { createCellReader, readNumber } from './csv-cell.ts';
import type { Layout } from './csv-dialect.ts';
import { missingSpelling } from './csv-missing.ts';
import { forEachRecord, type Place, placeOf } from './csv-records.ts';
import type { CsvFile } from './csv-text.ts';
import type { DecimalMark } from './decimal.ts';

const FIRST_CAPACITY_ROWS = 1024;

/** A column of the file. */
export interface Column {
  position: number;
  mark: DecimalMark;
}

export interface Columns {
  /** In the order of the declaration. */
  features: readonly Column[];
  target: Column;
}

export interface CsvDataset {
  dataset: Dataset;
  /** How many cells of each feature hold a value beyond its declared categories. */
  unknown: readonly number[];
  /** Those that hold none. */
  missing: readonly MissingCells[];
  /** Of the file, with those that have no target and are left out. */
  rows: number;
  /** Of the bytes of the file. */
  sha256: string;
}

/**
 * The slots of the features and the targets; other columns are ignored. Memory is at most three times that of the rows,
 * whatever else the file holds. Throws `training_data` for a cell that the contract does not allow, and without any row.
 */
export async function readCsvDataset(
  file: CsvFile,
  layout: Layout,
  { contract, columns }: { contract: Contract; columns: Columns },
): Promise<CsvDataset> {
  const { features, declaration } = contract;
  const { target } = columns;
  const readers = features.map((feature, i) => createCellReader(feature, contract, columns.features[i]!.mark));
  const positions = columns.features.map(({ position }) => position);
  const width = features.length;
  let data = new Float64Array(FIRST_CAPACITY_ROWS * width);
  let y = new Float64Array(FIRST_CAPACITY_ROWS);
  let used = 0;
  let rows = 0;

  function readRecord(fields: readonly string[], place: Place): void {
    if (place.row === 0) return;
    rows++;
    if (missingSpelling(fields[target.position]!) !== undefined) return;
    if (used === y.length) {
      data = doubled(data);
      y = doubled(y);
    }
    let name = declaration.output.name;
    try {
      y[used] = readNumber(fields[target.position]!, target.mark);
      for (let i = 0; i < width; i++) {
        name = features[i]!.name;
        data[used * width + i] = readers[i]!.read(fields[positions[i]!]!);
      }
    } catch (error) {
      const at = placeOf(place).replace(/^row/, 'Row');
      throw refuse(`${at}, ${name}: ${(error as Error).message}.`);
    }
    used++;
  }

  const hash = createHash('sha256');
  await forEachRecord(file, layout, readRecord, hash);
  if (used === 0) throw refuse(`No row has a value of ${declaration.output.name}, the target.`);
  const X = { rows: used, columns: width, data: data.subarray(0, used * width) };
  const unknown = readers.map((reader) => reader.unknown);
  const missing = readers.map((reader) => reader.missing);
  return { dataset: { X, y: y.subarray(0, used) }, unknown, missing, rows, sha256: hash.digest('hex') };
}

/** The same values with as much room again, which takes no memory before it is written to. */
function doubled(values: Float64Array): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(2 * values.length);
  larger.set(values);
  return larger;
}

const refuse = (detail: string) => new RidgelineError('training_data', { detail });
