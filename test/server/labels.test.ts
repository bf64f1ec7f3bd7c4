import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectory } from '../support/directory.ts';
import { predictionIdAt } from '../support/housing-traffic.ts';

const root = join(import.meta.dirname, '../..');
const directory = await makeDirectory('labels');
const file = join(directory, 'labels.csv');
let database: TestDatabase;
const anHourAgo = Date.now() - 3_600_000;
const ids = Array.from({ length: 2500 }, (_, i) => predictionIdAt(anHourAgo + i, i));
beforeAll(async () => {
  database = await createTestDatabase();
  await database.query(
    `insert into predictions (id, created_at, prediction, pipeline_version)
     select id, at, 20, '2026_11_01__00_00_00' from unnest($1::uuid[], $2::timestamptz[]) as one (id, at)`,
    [ids, ids.map((_, i) => new Date(anHourAgo + i))],
  );
});
afterAll(async () => {
  await database.drop();
  await rm(directory, { recursive: true, force: true });
});

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

function labels(args: string[], environment: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const env = { ...process.env, DATABASE_URL: database.url, ...environment };
  return new Promise((resolve) => {
    execFile(process.execPath, [join(root, 'dist/scripts/labels.js'), ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

async function store(content: string): Promise<Ended & { json: Record<string, unknown> }> {
  await writeFile(file, content);
  const ended = await labels([file, '--json']);
  return { ...ended, json: JSON.parse(ended.stdout.trim().split('\n').at(-1)!) };
}

const none = { stored: 0, unchanged: 0, corrected: 0, superseded: 0, withdrawn: 0, pending: 0, unknown: 0 };
const at = (ms: number) => new Date(anHourAgo + ms).toISOString();

test('labels of a file are stored, run again it stores nothing twice', async () => {
  const content = `prediction_id,actual,observed_at\n${ids.map((id, i) => `${id},${i / 10},${at(i)}`).join('\n')}\n`;
  const first = await store(content);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(first.json).toEqual({
    ...{ rows: 2500, counts: { ...none, stored: 2500 }, invalid: 0, duration_ms: expect.any(Number) },
  });
  const [sum] = await database.query('select count(*)::int as n, sum(actual) as actual from ground_truth');
  expect(sum).toEqual({ n: 2500, actual: (2499 * 2500) / 2 / 10 });
  expect((await store(content)).json).toMatchObject({ counts: { ...none, unchanged: 2500 } });
  expect(await labels([file])).toMatchObject({ code: 0, stdout: '2500 labels: 2500 unchanged.\n' });
});

test('a byte order mark, other line ends, quotes, another order of columns and empty cells are read', async () => {
  const [a, b, c] = ids as [string, string, string];
  const lines = [
    'observed_at,note,"prediction_id",actual',
    `${at(1e6)},"a, b",${a.toUpperCase()},"7.5"`,
    `${at(1e6)},,${b},`,
    '',
    `,,${c},-1e3`,
  ];
  expect((await store(`\uFEFF${lines.join('\r\n')}`)).json).toMatchObject({
    ...{ rows: 3, invalid: 0, counts: { ...none, corrected: 2, withdrawn: 1 } },
  });
  const rows = await database.query(
    'select prediction_id as id, actual from ground_truth where prediction_id = any($1) order by predicted_at',
    [[a, b, c]],
  );
  expect(rows).toEqual([
    { id: a, actual: 7.5 },
    { id: b, actual: null },
    { id: c, actual: -1000 },
  ]);
});

test('lines that cannot be used are named and left out', async () => {
  const id = ids[100]!;
  const faulty = [
    'x,1,',
    `${id},x,`,
    `${id},0x10,`,
    `${id},1e300,`,
    `${id},NaN,`,
    `${id},1,yesterday`,
    `${id},1,2026-11-22T10:00:00`,
    `${id},1,2999-01-01T00:00:00Z`,
  ];
  const { code, stderr, json } = await store(['prediction_id,actual,observed_at', ...faulty, `${id},5,`].join('\n'));
  expect(code).toBe(1);
  expect(json).toMatchObject({ rows: 9, invalid: 8, counts: { ...none, corrected: 1 } });
  const named = stderr.trim().split('\n');
  expect(named).toHaveLength(8);
  expect(named[0]).toBe('Line 2 is left out. prediction_id: "x" is not the id of an answer.');
  expect(named[7]).toMatch(/^Line 9 is left out\. observed_at: .* is more than 5 minutes ahead\.$/);
  const many = await store(`prediction_id,actual\n${'x,1\n'.repeat(1000)}`);
  expect(many.stderr.trim().split('\n')).toHaveLength(21);
  expect(many.stderr).toContain('980 more lines are left out.');
});

describe('what it cannot do it says', () => {
  test.each([
    ['', /It is empty\. The first line has to be prediction_id,actual,observed_at/],
    ['id,value\n1,2\n', /It has no header of labels/],
  ])('of the content %j', async (content, message) => {
    await writeFile(file, content);
    const { code, stdout, stderr } = await labels([file]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('of a file that is not there, or a directory', async () => {
    expect(await labels([join(directory, 'no.csv')])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ENOENT'),
    });
    const ofDirectory = await labels([directory]);
    expect(ofDirectory).toMatchObject({ code: 1, stderr: expect.stringContaining('EISDIR') });
    expect(ofDirectory.stderr).not.toMatch(/^\s+at /m);
  });

  test('of a database that is away', async () => {
    await writeFile(file, `prediction_id,actual\n${ids[0]},1\n`);
    const away = await labels([file], { DATABASE_URL: 'postgres://localhost:1/x?sslmode=disable' });
    expect(away).toMatchObject({ code: 1, stderr: expect.stringMatching(/ECONNREFUSED.*run it again to go on/s) });
  });

  test('of its options', async () => {
    expect(await labels([])).toMatchObject({ code: 2, stderr: expect.stringContaining('FILE.csv is missing') });
    expect((await labels(['--help'])).stdout).toMatch(/^Usage: npm run labels/);
    const taken = await labels([file], { npm_lifecycle_event: 'labels', npm_config_json: 'true' });
    expect(taken).toMatchObject({ code: 2, stderr: expect.stringContaining('npm run labels -- --json') });
  });
});
