import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readTrainingData } from '../../src/training/training-data.ts';
import { wines } from '../support/declaration.ts';
import { makeDirectory } from '../support/directory.ts';

const directory = await makeDirectory('training-data');
afterAll(() => rm(directory, { recursive: true, force: true }));

test('a file with the columns of the served version is read under its contract, and named', async () => {
  const data = join(directory, 'wines.csv');
  const text = 'note,acidity,vineyard,sugar,alcohol,oak,score\n,6,3,2.5,12,1,7\n,6,3,2.5,12,1,8\n';
  await writeFile(data, text);
  expect(await readTrainingData({ data, served: wines })).toEqual({
    contract: wines,
    dataset: {
      X: { rows: 2, columns: 5, data: Float64Array.of(6, 3, 2.5, 12, 1, 6, 3, 2.5, 12, 1) },
      y: Float64Array.of(7, 8),
    },
    notes: [],
    source: { name: 'wines.csv', sha256: createHash('sha256').update(text).digest('hex'), rows: 2, columns: 7 },
  });
});
