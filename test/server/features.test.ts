import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { parseDeclaration } from '../../src/contract/declaration.ts';
import { deriveTrainingData } from '../../src/training/training-data.ts';
import { makeDirectory } from '../support/directory.ts';

const root = join(import.meta.dirname, '../..');
const penguins = join(root, 'examples/penguins.csv');
const directory = await makeDirectory('features');
afterAll(() => rm(directory, { recursive: true, force: true }));

const run = promisify(execFile);
const features = (args: string[], nodeOptions: string[] = []) =>
  run(process.execPath, [...nodeOptions, join(root, 'dist/scripts/features.js'), ...args]);

test('the declaration is on standard output, a line a feature, and what was decided on standard error', async () => {
  const { stdout, stderr } = await features([penguins, '--target', 'body_mass_g']);
  expect(stdout).toBe(`{
  "name": "penguins",
  "features": [
    { "name": "species", "dtype": "string", "categories": [ "Adelie", "Chinstrap", "Gentoo" ], "example": "Adelie" },
    { "name": "island", "dtype": "string", "categories": [ "Biscoe", "Dream", "Torgersen" ], "example": "Torgersen" },
    { "name": "bill_length_mm", "dtype": "float64", "example": 39.1 },
    { "name": "bill_depth_mm", "dtype": "float64", "example": 18.7 },
    { "name": "flipper_length_mm", "dtype": "int64", "example": 181 },
    { "name": "sex", "dtype": "string", "nullable": true, "null_as": "missing", "categories": [ "female", "male" ], "example": "male" },
    { "name": "year", "dtype": "int64", "example": 2007 }
  ],
  "output": { "task": "regression", "name": "body_mass_g", "example": 3750 }
}
`);
  expect(stderr.split('\n').slice(0, 3)).toEqual([
    'penguins.csv: 344 rows and 8 columns, between commas.',
    'body_mass_g: the target, from 2700 to 6300; 2 rows without it left out.',
    'species: string; 3 categories: "Adelie", "Chinstrap", "Gentoo".',
  ]);
  const { contract } = await deriveTrainingData(penguins, 'body_mass_g');
  expect(parseDeclaration(JSON.parse(stdout))).toEqual(contract.declaration);
  const json = await features(['--json', '--target', 'body_mass_g', penguins]);
  expect(json.stdout.trimEnd()).not.toContain('\n');
  expect(JSON.parse(json.stdout)).toEqual(JSON.parse(stdout));
});

test('what cannot be derived ends it with 1 and a sentence, and prints nothing else', async () => {
  await expect(features([penguins, '--target', 'body_mass'])).rejects.toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(
      /^The header has no column body_mass\. Did you mean body_mass_g\? It has species, .*\n$/,
    ),
  });
});

test.each([
  [[penguins], /^--target is missing: which column is predicted\?\n\nUsage: /],
  [['--target', 'y'], /^FILE\.csv is missing\n\nUsage: /],
  [[penguins, 'other.csv', '--target', 'y'], /^'other\.csv': expected one FILE\.csv\n\nUsage: /],
])('bad usage ends it with 2: %j', async (args, stderr) => {
  await expect(features(args)).rejects.toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(stderr) });
});

test('what npm has taken is asked back for', async () => {
  const env = { ...process.env, npm_lifecycle_event: 'features', npm_config_target: 'y' };
  await expect(
    run(process.execPath, [join(root, 'dist/scripts/features.js'), 'my.csv'], { env }),
  ).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Write `npm run features -- --target y my.csv`.'),
  });
});

test('300,000 rows are read in a heap of 48 MiB', async () => {
  const file = join(directory, 'flats.csv');
  const row = (i: number) =>
    `city ${i % 50},${(i * 7919) % 1000},${i / 8},"a, ${i}",${i % 3 ? 'true' : ''},${i % 1013}\n`;
  const rows = Array.from({ length: 300_000 }, (_, i) => row(i)).join('');
  await writeFile(file, `city,rooms,size,remark,new,price\n${rows}`);
  const { stdout, stderr } = await features([file, '--target', 'price'], ['--max-old-space-size=48']);
  const declared = parseDeclaration(JSON.parse(stdout)).features.map(({ name, dtype }) => `${name} ${dtype}`);
  expect(declared).toEqual(['city string', 'rooms int64', 'size float64', 'new bool']);
  expect(stderr).toContain('flats.csv: 300000 rows and 6 columns, between commas.');
  expect(stderr).toContain('Left out:\n  remark: It has more than 10000 categories');
  expect((await readFile(file)).length).toBeGreaterThan(10_000_000);
});
