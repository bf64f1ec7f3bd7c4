/** The loop through real processes: predictions and their truth over HTTP, the command that trains, and the service that judges. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { DEAR, worldOf } from '../support/labelled-world.ts';
import { answerTo } from '../support/requests.ts';
import { childEnvironment, type ServerProcess, startServer, trainScript } from '../support/server.ts';

const run = promisify(execFile);
const world = worldOf(11);

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

const ask = <Answer>(path: string, body: object) => answerTo<Answer>(server.url + path, body);

/** Asks about so many houses, and tells what they were worth. */
async function live(rows: number): Promise<void> {
  const houses = Array.from({ length: rows }, () => world.house(DEAR));
  const { prediction_ids: ids } = await ask<{ prediction_ids: string[] }>('/predict/batch', {
    instances: houses.map(({ row }) => row),
  });
  const truths = houses.map(({ price: actual }, i) => ({ prediction_id: ids[i]!, actual }));
  await eventually(
    async () => (await database.query('select from predictions where id = $1', [ids.at(-1)])).length === 1,
  );
  const { counts } = await ask<{ counts: Record<string, number> }>('/ground-truth/batch', { instances: truths });
  expect(counts.stored).toBe(rows);
}

interface Told {
  version: string | null;
  decision: string;
  reason: string;
  promoted: boolean;
  gate: Record<string, unknown> | null;
}

async function train(...options: string[]): Promise<Told> {
  const env = childEnvironment({ DATABASE_URL: database.url }, directories);
  const { stdout } = await run(process.execPath, [trainScript, '--json', ...options], { env });
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Told;
}

const served = async () =>
  ((await (await fetch(`${server.url}/health`)).json()) as { model_version: string }).model_version;

test('a version that is held takes over by itself when truths have proven it, and is told of', {
  timeout: 150_000,
}, async () => {
  await live(99);
  const held = await train('--labelled', '--promote', 'gate');
  expect(held).toMatchObject({ decision: 'held', reason: 'too_few_labels', promoted: false, gate: { n: 99 } });
  expect(await train('--labelled', '--promote', 'gate')).toMatchObject({ decision: 'unchanged', version: null });
  await live(900);
  await eventually(async () => (await served()) === held.version, 100_000);
  await eventually(async () => server.logs().some(({ msg }) => msg === 'a challenger was judged'));
  const line = server.logs().find(({ msg }) => msg === 'a challenger was judged')!;
  expect(line).toMatchObject({ version: held.version, decision: 'promoted' });
  expect(line.detail).toMatch(/^On \d+ labelled predictions of .* It is better\.$/);

  const shown = (await (await fetch(`${server.url}/pipelines/${held.version}`)).json()) as {
    gates: Record<string, unknown>[];
    promotions: Record<string, unknown>[];
  };
  expect(shown.gates).toMatchObject([
    { decision: 'promoted', reason: 'better', look: 1, decided_by: 'schedule' },
    { decision: 'held', reason: 'too_few_labels', look: null, decided_by: 'train' },
  ]);
  expect(shown.promotions).toMatchObject([{ action: 'schedule', promoted_by: 'schedule' }]);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toContain('ridgeline_job_runs_total{job="challengers",result="ok"} 1');
});
