/** Another contract, from `npm run train` to the processes that serve: real ones, of which one has workers. */
import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { housing } from '../../src/housing/features.ts';
import { type Published, publish } from '../../src/publishing/publish.ts';
import { callWhile, expectStored, type Trained, trainContracts } from '../support/contract-load.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { articleAnswer, articleRow, type PredictAnswer, post } from '../support/requests.ts';
import { childEnvironment, type ServerProcess, startServer, trainScript } from '../support/server.ts';

const run = promisify(execFile);
const known = trainContracts();
const [ofWines, ofCellars] = known;

let database: TestDatabase;
let pool: Pool;
let directories: ServerDirectories[];
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined, max: 1 });
  directories = [await makeDirectories(), await makeDirectories()];
});
afterAll(async () => {
  await pool.end();
  await database.drop();
  for (const one of directories) await one.remove();
});

async function start(which: 0 | 1, settings: Record<string, string> = {}): Promise<ServerProcess> {
  const server = await startServer({ DATABASE_URL: database.url, ...settings }, directories[which]!);
  onTestFinished(() => void server.process.kill('SIGKILL'));
  return server;
}

async function publishNow(
  { pipeline }: Trained,
  beforehand: (version: string) => void = () => undefined,
): Promise<string> {
  const { pipelineVersion } = await publish(pipeline, {
    transaction: (work) =>
      transaction(pool, async (client) => {
        const result = await work(client);
        beforehand((result as Published).pipelineVersion);
        return result;
      }),
    modelsDir: directories[0]!.modelsDir,
    now: new Date(),
    promotedBy: 'test',
    reason: 'another contract',
    shipped: housing,
    breaking: true,
  });
  return pipelineVersion;
}

/** Runs the command; a failure is a result. */
async function train(...options: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = childEnvironment({ DATABASE_URL: database.url }, directories[0]!);
  const done = await run(process.execPath, [trainScript, ...options], { env }).catch((error: unknown) => error);
  return { code: 0, ...(done as { stdout: string; stderr: string }) };
}

const servedBy = async ({ url }: ServerProcess) =>
  ((await (await fetch(`${url}/health`)).json()) as { model_version?: string }).model_version;

test.each(['1', '2'])(
  'a start with %s workers serves another contract that is there, and prints a request for it',
  async (workers) => {
    const version = await publishNow(ofWines);
    const server = await start(0, { WORKERS: workers });
    expect(await servedBy(server)).toBe(version);
    const curl = await eventually(async () => /^ {2}(curl .*)$/m.exec(server.output())?.[1]);
    const answer = JSON.parse((await run('sh', ['-c', curl])).stdout) as PredictAnswer;
    expect(answer.model_version).toBe(version);
    await server.stop();
    // It has published none of its own.
    const others = 'select from ml_pipeline_promotion where promoted_by <> $1';
    expect(await database.query(others, ['test'])).toEqual([]);
  },
);

test('swaps there and back under load lose nothing and mix nothing up', { timeout: 60_000 }, async () => {
  const published = new Map<string, Trained>();
  const publishKnown = (trained: Trained) => publishNow(trained, (version) => published.set(version, trained));
  const first = await publishKnown(ofWines);
  const servers = [await start(0), await start(1, { WORKERS: '2' })];
  await database.query('truncate predictions');
  const urls = servers.map(({ url }) => url);
  const answered = await callWhile(urls, known, published, async (isServed) => {
    await isServed(first);
    for (const trained of [ofCellars, ofWines, ofCellars]) {
      await isServed(await publishKnown(trained));
      await delay(500);
    }
  });
  expect(new Set([...answered.values()].map(({ version }) => version))).toEqual(new Set(published.keys()));
  await expectStored(database, answered);
  for (const server of servers) {
    expect(server.logs().filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
    await server.stop();
  }
});

test('npm run train back to the rows that ship needs --breaking, and says what changes', async () => {
  const served = await publishNow(ofCellars);
  const server = await start(0);
  const refused = await train();
  expect(refused.code).toBe(1);
  expect(refused.stdout).toMatch(
    /What changes for callers:\n {2}Grape, sugar, organic, Cellar \(place\) are gone: requests with them are refused\.\n {2}CRIM, .*LSTAT are new and not optional/,
  );
  expect(refused.stdout).toContain('\n  MEDV is predicted, in the place of rating.\n');
  expect(refused.stderr).toBe('\nNothing is published. Add --breaking to publish it all the same.\n');
  expect(await servedBy(server)).toBe(served);

  const { code, stdout } = await train('--breaking');
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /What changes for callers:\n.* {2}Grape, .* are gone.*\n {2}CRIM, .*Published pipeline version/s,
  );
  const answer = await eventually(async () => {
    const response = await post(`${server.url}/predict`, articleRow);
    return response.status === 200 && ((await response.json()) as PredictAnswer);
  });
  expect(answer.prediction).toBeCloseTo(articleAnswer, 6);
  // The same contract again: nothing to say, and one line for programs.
  const again = await train('--json');
  expect(JSON.parse(again.stdout)).toMatchObject({ version: expect.any(String), promoted: true });
  await server.stop();
});
