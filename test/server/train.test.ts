import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, makeDirectory, type ServerDirectories } from '../support/directory.ts';
import { childEnvironment, trainScript } from '../support/server.ts';

const run = promisify(execFile);
const examples = join(import.meta.dirname, '../../examples');

let database: TestDatabase;
let directories: ServerDirectories;
let files: string;
beforeAll(async () => {
  database = await createTestDatabase();
  directories = await makeDirectories();
  files = await makeDirectory('train');
});
afterAll(async () => {
  await database.drop();
  await directories.remove();
});

async function train(...options: string[]): Promise<string> {
  const env = childEnvironment({ DATABASE_URL: database.url }, directories);
  return (await run(process.execPath, [trainScript, ...options], { env })).stdout;
}

interface Answer {
  version: string | null;
  promoted: boolean;
  decision: string;
  reason: string;
}

async function answer(...options: string[]): Promise<Answer> {
  return JSON.parse((await train('--json', ...options)).trim().split('\n').at(-1)!) as Answer;
}

/** A file of rows whose target follows from the first column, and chance. */
async function file(name: string, rows: number, target: (i: number) => number): Promise<string> {
  const lines = Array.from({ length: rows }, (_, i) => `${(i * 7) % 11}.5,${target(i)}`);
  await writeFile(join(files, name), ['size,price', ...lines].join('\n'));
  return join(files, name);
}

const count = async (table: string) => (await database.query(`select from ${table}`)).length;
const counts = async () => [await count('ml_pipeline'), await count('ml_pipeline_promotion')];

test('--dry-run does everything but publish, beside what is served', async () => {
  const { version } = await answer('--alpha', '1', '--by', 'start');
  const before = await counts();
  const told = await answer('--alpha', '10', '--dry-run');
  expect(told).toEqual({
    version: null,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    promoted: false,
    decision: 'promoted',
    reason: 'always',
    gate: null,
    metrics: expect.objectContaining({ rows: 506, cv_rmse: expect.any(Number) }),
    duration_ms: expect.any(Number),
  });
  const text = await train('--alpha', '10', '--dry-run');
  expect(text).toMatch(/^Trained a pipeline in \d+ ms/);
  expect(text).toMatch(
    new RegExp(`10-fold cross-validation +4\\.83.*\n +served: ${version} +4\\.83.*\n +training rows`),
  );
  expect(text).toContain('Nothing is published. It would be promoted.');
  expect(await counts()).toEqual(before);
});

test('--promote never publishes a challenger, which is not in models/ and changes nothing for callers', async () => {
  const [versions, promotions] = (await counts()) as [number, number];
  const told = await answer('--promote', 'never', '--data', join(examples, 'penguins.csv'), '--target', 'body_mass_g');
  expect(told).toMatchObject({
    version: expect.any(String),
    promoted: false,
    decision: 'not_promoted',
    reason: 'never',
  });
  expect(await counts()).toEqual([versions + 1, promotions]);
  expect(await readdir(directories.modelsDir)).not.toContain(`pipeline_${told.version}.onnx`);

  const bytes = await readFile(join(examples, 'penguins.csv'));
  const rows = await database.query('select training_rows, data_file from ml_pipeline where pipeline_version = $1', [
    told.version,
  ]);
  expect(rows).toEqual([
    {
      training_rows: { shipped: 342, labelled: 0, duplicates: 0 },
      data_file: {
        name: 'penguins.csv',
        sha256: createHash('sha256').update(bytes).digest('hex'),
        rows: 344,
        columns: bytes.toString().split('\n', 1)[0]!.split(',').length,
      },
    },
  ]);
});

test('figures of any length stand apart in the table, in columns', async () => {
  const path = await file('dear.csv', 150, (i) => 10_000_000 * Math.sin(i));
  const text = await train('--data', path, '--target', 'price', '--dry-run', '--breaking');
  const lines = text.split('\n').filter((line) => /RMSE|cross-validation|training rows/.test(line));
  expect(lines).toEqual([
    expect.stringMatching(/^ +RMSE +MAE +R2$/),
    expect.stringMatching(/^ {2}10-fold cross-validation +\d{7}\.\d{4} +\d{7}\.\d{4} +-?\d\.\d{4}$/),
    expect.stringMatching(/^ {2}training rows +\d{7}\.\d{4} +\d{7}\.\d{4} +-?\d\.\d{4}$/),
  ]);
  expect(new Set(lines.map(({ length }) => length)).size).toBe(1);
});

describe('too few data to judge', () => {
  const noise = (i: number) => Math.sin(i * 12.9898) * 43758.5453 - Math.floor(Math.sin(i * 12.9898) * 43758.5453);
  test.each([
    ['too_few_rows', 99, (i: number) => 3 * ((i * 7) % 11) + noise(i)],
    ['constant_target', 150, () => 7],
    ['negative_r2', 150, noise],
  ])('are published and not promoted: %s', async (reason, rows, target) => {
    const path = await file(`${reason}.csv`, rows, target);
    const before = await count('ml_pipeline_promotion');
    const told = await answer('--data', path, '--target', 'price');
    expect(told).toMatchObject({ version: expect.any(String), promoted: false, decision: 'not_promoted', reason });
    expect(await count('ml_pipeline_promotion')).toBe(before);
    expect(await train('--data', path, '--target', 'price', '--dry-run')).toContain('and not promoted.');
  });

  test('are promoted where that is written out', async () => {
    const path = await file('few.csv', 12, (i) => i);
    const told = await answer('--data', path, '--target', 'price', '--promote', 'always');
    expect(told).toMatchObject({ promoted: true, decision: 'promoted', reason: 'always' });
    expect(await readdir(directories.modelsDir)).toContain(`pipeline_${told.version}.onnx`);
  });
});

test('a schedule that trains while a person chooses publishes a challenger, and says who holds it', async () => {
  const version = (
    await database.query<{ version: string }>(
      'select pipeline_version as version from ml_pipeline_promotion order by promotion_id desc',
    )
  )[0]!.version;
  await database.query(
    `insert into ml_pipeline_promotion (pipeline_version, promoted_by, reason) values ($1, 'me', 'it is good')`,
    [version],
  );
  expect(await answer('--by', 'schedule', '--breaking')).toMatchObject({
    ...{ promoted: false, decision: 'held', reason: 'hand', version: expect.any(String) },
  });
});

test.each([
  [['--promote', 'maybe'], '--promote maybe: expected always, gate or never'],
  [['--without-shipped'], '--without-shipped needs --labelled'],
  [['--labelled', '--without-shipped', '--data', 'a.csv'], '--without-shipped leaves out the rows that ship'],
  [['--promote', ''], '--promote : expected always, gate or never'],
])('bad usage is told: %j', async (options, message) => {
  await expect(train(...options)).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
});
