/** Training rows from a file that people have, the contract that fits them, and what was decided on the way. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import type { Contract } from '../contract/contract.ts';
import type { Dataset } from '../estimators/dense-matrix.ts';
import { readCsvDataset } from './csv-dataset.ts';

export interface TrainingDataOptions {
  /** The path of a CSV file. */
  data: string;
  /** The contract of the version that is served, whose columns are read. */
  served: Contract;
}

/** Which file a version was trained on. */
export interface DataFile {
  name: string;
  sha256: string;
  /** Of the file as it is, with those that are not used. */
  rows: number;
  columns: number;
}

export interface TrainingData {
  contract: Contract;
  dataset: Dataset;
  /** What was decided, a line each, for people to read before anything is published. */
  notes: readonly string[];
  source: DataFile;
}

/** Throws `training_data` for a file that cannot be used. */
export async function readTrainingData({ data, served }: TrainingDataOptions): Promise<TrainingData> {
  const { dataset, columns } = await readCsvDataset(data, served);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(data)) hash.update(chunk as Buffer);
  const source = { name: basename(data), sha256: hash.digest('hex'), rows: dataset.X.rows, columns };
  return { contract: served, dataset, notes: [], source };
}
