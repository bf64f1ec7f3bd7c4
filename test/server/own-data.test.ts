/** README's "Your own data", from a CSV file to stored predictions and back, with the real commands. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { articleRow, type PredictAnswer, post } from '../support/requests.ts';
import { childEnvironment, type ServerProcess, startServer, trainScript } from '../support/server.ts';

const run = promisify(execFile);
const penguins = join(import.meta.dirname, '../../examples/penguins.csv');
const features = join(import.meta.dirname, '../../dist/scripts/features.js');
const penguin = {
  species: 'Adelie',
  island: 'Torgersen',
  bill_length_mm: 39.1,
  bill_depth_mm: 18.7,
  flipper_length_mm: 181,
  sex: null,
  year: 2007,
};

let database: TestDatabase;
let directories: ServerDirectories;
let server: ServerProcess;
beforeAll(async () => {
  database = await createTestDatabase();
  directories = await makeDirectories();
  server = await startServer({ DATABASE_URL: database.url }, directories);
});
afterAll(async () => {
  await server.stop();
  await database.drop();
  await directories.remove();
});

/** A failure is a result. */
async function train(...options: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = childEnvironment({ DATABASE_URL: database.url }, directories);
  const done = await run(process.execPath, [trainScript, ...options], { env }).catch((error: unknown) => error);
  return { code: 0, ...(done as { stdout: string; stderr: string }) };
}

/** The answer of the version that is served once it takes such a row. */
function predictOnceServed(row: object, version?: string): Promise<PredictAnswer> {
  return eventually(async () => {
    const response = await post(`${server.url}/predict`, row);
    if (response.status !== 200) return undefined;
    const answer = (await response.json()) as PredictAnswer;
    return version === undefined || answer.model_version === version ? answer : undefined;
  });
}

test('a CSV becomes a service: texts, nulls and new categories are answered and stored as they were sent', async () => {
  const { stdout, stderr } = await train('--data', penguins, '--target', 'body_mass_g', '--json');
  expect(stderr).toContain('sex: string; 2 categories: "female", "male"; 9 missing (NA), which are a category.\n');
  const { version } = JSON.parse(stdout) as { version: string };
  const known = await predictOnceServed(penguin, version);
  const unknown = await predictOnceServed({ ...penguin, species: 'Cesarski 🐧' }, version);
  expect([known, unknown].every(({ prediction }) => prediction > 2000 && prediction < 7000)).toBe(true);
  const rows = await eventually(async () => {
    const found = await database.query('select * from predictions where pipeline_version = $1 order by species', [
      version,
    ]);
    return found.length === 2 && found;
  });
  expect(rows[0]).toMatchObject({
    ...penguin,
    flipper_length_mm: '181',
    year: '2007',
    prediction: known.prediction,
    crim: null,
  });
  expect(rows[1]).toMatchObject({ species: 'Cesarski 🐧', sex: null });
  const [stored] = await database.query<{ name: string }>(
    "select declaration->>'name' as name from ml_pipeline where pipeline_version = $1",
    [version],
  );
  expect(stored).toEqual({ name: 'penguins' });
});

test('more rows alone add their categories, and a pinned declaration keeps its own', async () => {
  const more = join(directories.dataDir, 'more.csv');
  const header = 'species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year\n';
  const rows = Array.from(
    { length: 30 },
    (_, i) => `${['Adelie', 'Emperor'][i % 2]},Dream,${40 + i},18,${190 + i},${5000 + i},male,2009\n`,
  );
  await writeFile(more, header + rows.join(''));
  const grown = await train('--data', more);
  expect(grown.stdout).toContain('species: new categories, which are appended: "Emperor".');
  const pinned = join(directories.dataDir, 'features.json');
  await writeFile(pinned, (await run(process.execPath, [features, penguins, '--target', 'body_mass_g'])).stdout);
  const kept = await train('--data', more, '--features', pinned);
  expect(kept.stdout).toContain('species: 15 cells beyond the declared categories, trained as none of them.');
});

test('a schedule waits for truths, which are the only rows that it has, and a person is told what to do', async () => {
  const scheduled = await train('--labelled', '--promote', 'gate', '--by', 'schedule', '--json');
  expect([scheduled.code, scheduled.stderr]).toEqual([0, '']);
  const why = /There are 0 labelled predictions of different rows.*; 100 are needed.* --data FILE/;
  const nothing = { version: null, promoted: false, decision: 'held', reason: 'too_few_labels', gate: null };
  expect(JSON.parse(scheduled.stdout)).toEqual({ ...nothing, detail: expect.stringMatching(why) });
  const byHand = await train('--labelled', '--promote', 'gate');
  const [plan, ...failure] = [byHand.stdout, byHand.code, byHand.stderr];
  expect(plan).toContain('labelled predictions alone are learned from');
  expect(failure).toEqual([1, expect.stringMatching(why)]);
});

test('back to houses it takes --breaking', async () => {
  const refused = await train();
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('--breaking')]);
  expect((await train('--breaking')).code).toBe(0);
  expect((await predictOnceServed(articleRow)).prediction).toBeCloseTo(28.407883219473852, 9);
});

test('a column that the houses have with another type, such as an age in whole years, gets one of its own', async () => {
  const file = join(directories.dataDir, 'people.csv');
  const people = Array.from({ length: 120 }, (_, i) => `${20 + (i % 40)},${i % 3},${100 + 3 * (i % 40) + (i % 3)}`);
  await writeFile(file, `age,zn,pay\n${people.join('\n')}\n`);
  const { stdout, stderr } = await train('--data', file, '--target', 'pay', '--breaking', '--json');
  expect(stderr).toContain('age: stored as age_2, as its own column has another type.\n');
  const { version } = JSON.parse(stdout) as { version: string };
  const { prediction_id } = await predictOnceServed({ age: 30, zn: 1 }, version);
  const [stored] = await eventually(async () => {
    const found = await database.query('select age, age_2::int, zn_2::int from predictions where id = $1', [
      prediction_id,
    ]);
    return found.length > 0 && found;
  });
  expect(stored).toEqual({ age: null, age_2: 30, zn_2: 1 });
});
