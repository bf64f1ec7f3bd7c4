import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fingerprintCode } from '../../src/training/code-fingerprint.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { articleRow, type PredictAnswer, post } from '../support/requests.ts';
import { childEnvironment, type ServerProcess, startServer, trainScript } from '../support/server.ts';

const run = promisify(execFile);
let database: TestDatabase;
let directories: ServerDirectories;
let servers: ServerProcess[];
beforeAll(async () => {
  database = await createTestDatabase();
  directories = await makeDirectories();
  // Were it not for the notice, a new version would be served in an hour.
  const settings = { DATABASE_URL: database.url, MODEL_POLL_SECONDS: '3600' };
  servers = [await startServer(settings, directories), await startServer(settings, directories)];
});
afterAll(async () => {
  for (const server of servers) await server.stop();
  await database.drop();
  await directories.remove();
});

async function train(...options: string[]): Promise<{ version: string }> {
  const env = childEnvironment({ DATABASE_URL: database.url }, directories);
  const { stdout } = await run(process.execPath, [trainScript, '--json', ...options], { env });
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as { version: string };
}

async function predict(server: ServerProcess): Promise<PredictAnswer> {
  const response = await post(`${server.url}/predict`, articleRow);
  expect(response.status).toBe(200);
  return (await response.json()) as PredictAnswer;
}

describe('a new version beside running servers', () => {
  test('changes the answers of all servers with no failed and no wrong request under load', async () => {
    const answersOf = new Map<string, Set<number>>();
    let loading = true;
    const load = servers.flatMap((server) =>
      Array.from({ length: 4 }, async () => {
        while (loading) {
          const { model_version, prediction } = await predict(server);
          answersOf.set(
            model_version!,
            (answersOf.get(model_version!) ?? new Set()).add(Number(prediction.toFixed(9))),
          );
        }
      }),
    );
    const before = await predict(servers[0]!);
    await eventually(async () => answersOf.has(before.model_version!));
    const { version } = await train('--alpha', '10');
    for (const server of servers) {
      const after = await eventually(async () => {
        const answer = await predict(server);
        return answer.model_version === version && answer;
      });
      expect(after.prediction).not.toBeCloseTo(before.prediction, 3);
    }
    await eventually(async () => answersOf.has(version));
    loading = false;
    await Promise.all(load);
    // Each version has one answer for the house, whichever server and whenever.
    expect([...answersOf.keys()].sort()).toEqual([before.model_version, version]);
    for (const answers of answersOf.values()) expect(answers.size).toBe(1);
  });

  test('has trainings at the same time end as versions of their own', async () => {
    const trained = await Promise.all([train('--alpha', '2'), train('--alpha', '3')]);
    const versions = trained.map(({ version }) => version);
    expect(new Set(versions).size).toBe(2);
    const rows = await database.query<{ pipeline_version: string }>(
      'select pipeline_version from ml_pipeline_promotion where pipeline_version = any($1)',
      [versions],
    );
    expect(rows).toHaveLength(2);
  });
});

describe('the train command', () => {
  test('was built from the code that its versions name', async () => {
    const { version } = await train();
    const rows = await database.query('select code_sha256 from ml_pipeline where pipeline_version = $1', [version]);
    expect(rows).toEqual([{ code_sha256: fingerprintCode() }]);
  });

  test.each([
    [2, ['--alpha', 'much'], '--alpha much: expected a number'],
    [2, ['--alpha=-1'], 'expected a number above 0'],
    [2, ['--unknown'], 'Usage:'],
    [2, ['--alpha', '0'], 'expected a number above 0'],
    [1, ['--alpha', '1e-300'], 'singular'],
    [1, ['--data', '/nonexistent.csv'], 'cannot be read'],
  ])('exits with %i for %j and publishes nothing', async (code, options, message) => {
    const [{ count: before }] = (await database.query('select count(*) from ml_pipeline')) as [{ count: string }];
    const failure = await train(...options).then(
      () => undefined,
      (error: { code: number; stderr: string }) => error,
    );
    expect(failure?.code).toBe(code);
    expect(failure?.stderr).toContain(message);
    expect(failure?.stderr).not.toMatch(/^\s+at /m);
    const [{ count: after }] = (await database.query('select count(*) from ml_pipeline')) as [{ count: string }];
    expect(after).toBe(before);
  });
});
