import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import type { Dataset } from '../../src/estimators/dense-matrix.ts';
import type { FeatureSchema } from '../../src/feature-schema.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { readCsvDataset } from '../../src/training/csv-dataset.ts';

const schema: FeatureSchema = {
  features: [
    { name: 'SIZE', kind: 'numerical', description: 'Size', unit: 'm2', example: 1 },
    { name: 'ZONE', kind: 'categorical', description: 'Zone', unit: 'code', example: 1 },
  ],
  target: { name: 'PRICE', description: 'Price', unit: 'EUR', example: 1 },
};

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ridgeline-csv-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function read(text: string): Promise<Dataset> {
  const path = join(directory, 'rows.csv');
  await writeFile(path, text);
  return readCsvDataset(path, schema);
}

async function refusalOf(reading: Promise<unknown>): Promise<string> {
  try {
    await reading;
  } catch (error) {
    expect(error).toBeInstanceOf(RidgelineError);
    expect((error as RidgelineError).code).toBe('training_data');
    return (error as RidgelineError).message;
  }
  throw new Error('The file was accepted.');
}

const twoRows: Dataset = {
  X: { rows: 2, columns: 2, data: Float64Array.of(70.5, 3, 41, -1) },
  y: Float64Array.of(900, 1e3),
};

describe('the same rows are read', () => {
  test.each([
    ['in the declared order', 'SIZE,ZONE,PRICE\n70.5,3,900\n41,-1,1e3\n'],
    ['in another order', 'PRICE,SIZE,ZONE\n900,70.5,3\n1e3,41,-1\n'],
    ['with a header in another case', 'size,Zone,pRICE\n70.5,3,900\n41,-1,1000'],
    ['with columns that nobody declared', 'id,SIZE,note,ZONE,PRICE\n1,70.5,"a, b",3,900\n2,41,,-1,1000\n'],
    ['after a byte order mark', '\ufeffSIZE,ZONE,PRICE\n70.5,3,900\n41,-1,1000\n'],
    ['after a byte order mark and in quotes', '\ufeff"SIZE","ZONE","PRICE"\n70.5,3,900\n41,-1,1000\n'],
    ['with the ends of lines of Windows', 'SIZE,ZONE,PRICE\r\n70.5,3,900\r\n41,-1,1000\r\n'],
    ['with blanks around the values and empty lines', 'SIZE , ZONE, PRICE\n\n 70.5,3 , 900\n\n41,-1,1000\n\n'],
    ['with quotes', '"SIZE","ZONE","PRICE"\n"70.5","3","900"\n"41","-1","1000"\n'],
  ])('%s', async (_, text) => {
    expect(await read(text)).toEqual(twoRows);
  });
});

test('a header alone gives no rows', async () => {
  expect(await read('SIZE,ZONE,PRICE\n')).toMatchObject({ X: { rows: 0, columns: 2 }, y: new Float64Array(0) });
});

test('the housing data written as CSV are read back to the last bit', async () => {
  const { X, y } = loadHousingDataset();
  const lines = Array.from(y, (target, row) => [target, ...X.data.slice(row * 13, (row + 1) * 13)].join(','));
  const path = join(directory, 'housing.csv');
  const header = ['medv', ...housing.features.map(({ name }) => name)].join(',');
  await writeFile(path, [header, ...lines].join('\n'));
  expect(await readCsvDataset(path, housing)).toEqual({ X, y });
});

describe('a bad file is refused, and the message says where:', () => {
  test('every missing column is named', async () => {
    const message = await refusalOf(read('SIZE,COLOUR\n1,2\n'));
    expect(message).toBe('The header lacks ZONE, PRICE. Add these columns.');
  });

  test.each([
    ['a word', 'many', '"many"'],
    ['an empty field', '', '""'],
    ['not a number', 'NaN', '"NaN"'],
    ['an infinite number', 'Infinity', '"Infinity"'],
    ['a number with a unit', '70 m2', '"70 m2"'],
    ['a decimal comma', '"70,5"', '"70,5"'],
  ])('%s', async (_, field, shown) => {
    const message = await refusalOf(read(`PRICE,SIZE,ZONE\n900,1,3\n900,${field},3\n`));
    expect(message).toBe(`Row 2, SIZE: ${shown} is not a finite number. Correct or drop the row.`);
  });

  test('a long field is shown by its beginning only', async () => {
    const message = await refusalOf(read(`SIZE,ZONE,PRICE\n${'x'.repeat(5000)},3,900\n`));
    expect(message.length).toBeLessThan(150);
  });

  test('a row with a field too many or too few', async () => {
    expect(await refusalOf(read('SIZE,ZONE,PRICE\n1,2,3\n1,2,3,4\n'))).toMatch(
      /rows\.csv cannot be read: row 2 has 4 fields/,
    );
    expect(await refusalOf(read('SIZE,ZONE,PRICE\n1,2\n'))).toMatch(/rows\.csv cannot be read: row 1 has 2 fields/);
  });

  test('a quote that is never closed', async () => {
    expect(await refusalOf(read('SIZE,ZONE,PRICE\n"1,2,3\n'))).toMatch(/rows\.csv cannot be read/);
  });

  test('a file that is not there', async () => {
    const message = await refusalOf(readCsvDataset(join(directory, 'nothing.csv'), schema));
    expect(message).toMatch(/nothing\.csv cannot be read: ENOENT/);
  });

  test('a directory', async () => {
    expect(await refusalOf(readCsvDataset(directory, schema))).toMatch(/cannot be read: EISDIR/);
  });
});
