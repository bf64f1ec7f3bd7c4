import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { childEnvironment, trainScript } from '../support/server.ts';

const run = promisify(execFile);
const script = join(import.meta.dirname, '../../dist/scripts/pipelines.js');

let database: TestDatabase;
let directories: ServerDirectories;
let [first, second] = ['', ''];
beforeAll(async () => {
  database = await createTestDatabase();
  directories = await makeDirectories();
  [first, second] = [await train('--alpha', '1'), await train('--alpha', '10')];
});
afterAll(async () => {
  await database.drop();
  await directories.remove();
});

const environment = () => childEnvironment({ DATABASE_URL: database.url }, directories);

async function train(...options: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [trainScript, '--json', ...options], { env: environment() });
  return (JSON.parse(stdout.trim().split('\n').at(-1)!) as { version: string }).version;
}

async function pipelines(...options: string[]): Promise<string> {
  return (await run(process.execPath, [script, ...options], { env: environment() })).stdout;
}

async function answer(...options: string[]): Promise<Record<string, unknown>> {
  return JSON.parse((await pipelines(...options, '--json')).trim().split('\n').at(-1)!) as Record<string, unknown>;
}

const history = () =>
  database.query('select pipeline_version as version, action, reason from ml_pipeline_promotion order by promotion_id');

test('lists, shows and compares the versions in 80 columns, and as JSON', async () => {
  const texts = [await pipelines('list'), await pipelines('show', first), await pipelines('compare', first, second)];
  for (const line of texts.join('\n').split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  expect(texts[0]).toMatch(new RegExp(`^version .*\\nOf MEDV:\\n${second}  champion .*\\n${first}  retired `));
  expect(texts[1]).toMatch(/\nMEDV|predicts MEDV from 13 features:/);
  expect(texts[2]).toContain('No prediction is stored yet.');

  expect(await answer('list', '--limit', '1')).toMatchObject({ pipelines: [{ version: second }], next: second });
  expect(await answer('list', '--before', second)).toMatchObject({ pipelines: [{ version: first }], next: null });
  expect(await answer('show', first)).toMatchObject({ version: first, role: 'retired', gates: [], data_file: null });
  expect(await answer('compare', first, second)).toMatchObject({ a: first, b: second, field: null });
});

test('lists under each target the versions that predict it, as the errors of others are in another unit', async () => {
  const penguins = join(import.meta.dirname, '../../examples/penguins.csv');
  const other = await train('--data', penguins, '--target', 'body_mass_g', '--promote', 'never');
  const list = await pipelines('list');
  expect(list).toMatch(
    new RegExp(`\\nOf body_mass_g:\\n${other}  challenger .*\\nOf MEDV:\\n${second} .*\\n${first} `),
  );
  for (const line of list.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  await database.query('delete from ml_pipeline where pipeline_version = $1', [other]);
});

test('promotes, rolls back and resumes; what it promotes is in models/', async () => {
  expect(await answer('rollback', '--reason', 'too high')).toMatchObject({
    ...{ version: first, previous: second, action: 'rollback', promoted_by: 'pipelines', reason: 'too high' },
  });
  expect(await pipelines('list')).toMatch(/Scheduled trainings hold, as pipelines has rolled back to/);
  expect(await answer('promote', second, '--reason', 'look again')).toMatchObject({ action: 'hand' });
  expect(await pipelines('resume', '--reason', 'well now')).toContain(`${second} is served`);
  expect(await pipelines('list')).not.toContain('hold');
  expect((await history()).slice(2)).toEqual([
    { version: first, action: 'rollback', reason: 'too high' },
    { version: second, action: 'hand', reason: 'look again' },
    { version: second, action: 'resume', reason: 'well now' },
  ]);
  expect(await readdir(directories.modelsDir)).toContain(`pipeline_${first}.onnx`);
});

describe('what cannot be done', () => {
  test.each([
    [1, ['show', '2020_01_01__00_00_00'], 'There is no such version'],
    [1, ['show', 'nonsense'], 'There is no such version'],
    [1, ['promote', '2020_01_01__00_00_00', '--reason', 'x'], 'There is no such version'],
    [2, [], 'What is to be done?'],
    [2, ['delete'], "'delete' is none of the words below"],
    [2, ['toString'], "'toString' is none of the words below"],
    [2, ['show'], 'show: expected VERSION'],
    [2, ['compare', 'a'], 'compare: expected A and B'],
    [2, ['list', 'a'], 'list: expected no name'],
    [2, ['list', '--reason', 'x'], '--reason is not for list'],
    [2, ['resume', '--reason', 'x', '--breaking'], '--breaking is not for resume'],
    [2, ['rollback'], 'rollback: expected --reason TEXT'],
    [2, ['rollback', '--reason', ' '], 'rollback: expected --reason TEXT'],
    [2, ['list', '--limit', '0'], '--limit 0: expected a whole number from 1 to 200'],
    [2, ['list', '--before', 'x'], '--before x: expected a version'],
  ])('ends with %i: %j', async (code, options, message) => {
    const before = await history();
    await expect(pipelines(...options)).rejects.toMatchObject({
      ...{ code, stdout: '', stderr: expect.stringContaining(message) },
    });
    expect(await history()).toEqual(before);
  });

  test('is told with the right line where npm has taken the options', async () => {
    const env = {
      ...environment(),
      npm_lifecycle_event: 'pipelines',
      npm_config_reason: 'true',
      npm_config_json: 'true',
    };
    await expect(run(process.execPath, [script, 'rollback', 'too high'], { env })).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining("Write `npm run pipelines -- rollback --reason 'too high' --json`."),
    });
  });
});
