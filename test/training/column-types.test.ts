/** Types, nulls and categories are compared with those that pandas finds, and rows with those that it reads. */
import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Feature } from '../../src/contract/features-schema.ts';
import { valueOfSlot } from '../../src/contract/rows.ts';
import type { Value } from '../../src/contract/values.ts';
import { deriveTrainingData, type TrainingData } from '../../src/training/training-data.ts';
import { makeDirectory } from '../support/directory.ts';

interface ColumnType {
  dtype: Feature['dtype'];
  nullable: boolean;
  categories: string[] | null;
}

/** What test/oracle/make_column_types.py has written. */
interface Fixture {
  files: Record<string, { target: string; columns: Record<string, ColumnType> }>;
  columns: (ColumnType & { cells: string[] })[];
}

/** What make_declared_fixtures.py has: values in the order of the features. */
interface Rows {
  features: { name: string }[];
  rows: Value[][];
  y: number[];
}

const root = join(import.meta.dirname, '../..');
const readFixture = <Content>(name: string) =>
  JSON.parse(readFileSync(join(root, `test/oracle/fixtures/${name}.json`), 'utf8')) as Content;
const { files, columns } = readFixture<Fixture>('column_types');

const directory = await makeDirectory('column-types');
afterAll(() => rm(directory, { recursive: true, force: true }));

const typeOf = ({ dtype, nullable, categories }: Feature) => ({ dtype, nullable, categories: categories ?? null });

/** Left out, as no feature follows from them. */
const leftOut: Record<string, string[]> = {
  'examples/penguins.csv': [],
  'test/oracle/fixtures/penguins_raw.csv': ['Region', 'Stage', 'Date Egg'],
  'test/oracle/fixtures/diabetes.csv': [],
  'test/oracle/fixtures/grunfeld.csv': [],
};

test.each(Object.entries(files))('the columns of %s have the types that pandas finds', async (path, file) => {
  const { contract, notes } = await deriveTrainingData(join(root, path), file.target);
  const expected = Object.entries(file.columns).filter(([name]) => !leftOut[path]!.includes(name));
  expect(Object.fromEntries(contract.features.map((feature) => [feature.name, typeOf(feature)]))).toEqual(
    Object.fromEntries(expected),
  );
  expect(notes.filter((note) => note.startsWith('  '))).toHaveLength(leftOut[path]!.length);
});

test.each(columns)('a column of $cells has the type that pandas finds', async ({ cells, ...expected }) => {
  const data = join(directory, 'rows.csv');
  await writeFile(data, `a,b,y\n${cells.map((cell, i) => `${cell},${i % 2},${i}\n`).join('')}`);
  const { contract } = await deriveTrainingData(data, 'y');
  expect(typeOf(contract.features[0]!)).toEqual(expected);
});

test.each(Object.entries(files))('the rows of %s are those that pandas reads', async (path, { target }) => {
  const { features, rows, y } = readFixture<Rows>(path.replace(/^.*\/(\w+)\.csv$/, '$1'));
  const read = await deriveTrainingData(join(root, path), target);
  expect(Array.from(read.dataset.y)).toEqual(y);
  let compared = 0;
  for (const [column, { name }] of features.entries()) {
    const values = valuesOf(read, name);
    if (!values) continue;
    expect(values).toEqual(rows.map((row) => row[column]));
    compared++;
  }
  expect(compared).toBeGreaterThan(features.length / 2);
});

function valuesOf({ contract, dataset: { X } }: TrainingData, name: string): Value[] | undefined {
  const i = contract.names.indexOf(name);
  if (i === -1) return undefined;
  const feature = contract.features[i]!;
  return Array.from({ length: X.rows }, (_, row) => valueOfSlot(feature, X.data[row * X.columns + i]!, { contract }));
}
