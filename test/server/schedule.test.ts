import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { childEnvironment } from '../support/server.ts';

const scheduleScript = join(import.meta.dirname, '../../dist/scripts/schedule.js');

let database: TestDatabase;
let directories: ServerDirectories;
beforeAll(async () => {
  database = await createTestDatabase();
  directories = await makeDirectories();
});
afterAll(async () => {
  await database.drop();
  await directories.remove();
});

function schedule(settings: Record<string, string>) {
  const env = childEnvironment({ DATABASE_URL: database.url, ...settings }, directories);
  const child = spawn(process.execPath, [scheduleScript], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return { child, output: () => output, closed: once(child, 'close') as Promise<[number]> };
}

test('trains a minute once, however many schedulers run', { timeout: 150_000 }, async () => {
  const schedulers = [1, 2, 3].map(() => schedule({ RETRAIN_CRON: '* * * * *' }));
  const all = () => schedulers.map(({ output }) => output()).join('');
  await eventually(async () => all().includes('retraining has published a version'), 75_000);
  await eventually(async () => all().match(/retraining is skipped/g)?.length === 2, 10_000);
  for (const { child } of schedulers) child.kill('SIGTERM');
  for (const { closed } of schedulers) expect((await closed)[0]).toBe(0);
  const runs = await database.query<{ outcome: string; pipeline_version: string }>('select * from retraining');
  expect(runs).toEqual([expect.objectContaining({ outcome: 'promoted', pipeline_version: expect.any(String) })]);
  const promotions = await database.query('select promoted_by, action from ml_pipeline_promotion');
  expect(promotions).toEqual([{ promoted_by: 'schedule', action: 'schedule' }]);
});

test('tells what to set when RETRAIN_CRON is missing', async () => {
  const { output, closed } = schedule({});
  expect((await closed)[0]).toBe(2);
  expect(output()).toContain('RETRAIN_CRON');
});
