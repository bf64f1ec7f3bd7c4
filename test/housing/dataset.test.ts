import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { featureProfile } from '../../src/training/feature-profile.ts';
import { readTrainingData } from '../../src/training/training-data.ts';
import { makeDirectory } from '../support/directory.ts';

test('the housing data written as CSV are read back to the last bit', async () => {
  const { X, y } = loadHousingDataset();
  const lines = Array.from(y, (target, row) => [target, ...X.data.slice(row * 13, (row + 1) * 13)].join(','));
  const directory = await makeDirectory('housing');
  const path = join(directory, 'housing.csv');
  const header = ['medv', ...housing.features.map(({ name }) => name)].join(',');
  await writeFile(path, [header, ...lines].join('\n'));
  const read = await readTrainingData({ data: path, served: housing });
  expect(read.dataset).toEqual({ X, y });
  expect(read.contract).toBe(housing);
  await rm(directory, { recursive: true });
});

test('the profile of the housing data names every feature, survives JSON and knows the river and the highways', () => {
  const housingProfile = featureProfile(loadHousingDataset().X, housing);
  expect(Object.keys(housingProfile)).toEqual(housing.features.map(({ name }) => name));
  expect(JSON.parse(JSON.stringify(housingProfile))).toEqual(housingProfile);
  expect(housingProfile.CHAS).toMatchObject({ kind: 'categorical', counts: { '0': 471, '1': 35 } });
  expect(housingProfile.RAD).toMatchObject({ counts: { '24': 132, '1': 20 } });
  expect(housingProfile.RM).toMatchObject({ kind: 'numerical', min: 3.561, max: 8.78 });
});
