import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exampleRow } from '../../src/contract/rows.ts';
import { createPool, transaction } from '../../src/database/pool.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { lockRegistry } from '../../src/registry/pipeline-versions.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';

let app: TestApp;
let [first, second] = ['', ''];
beforeAll(async () => {
  app = await startTestApp();
  first = app.app.served()!.pipelineVersion;
  second = await app.publish(trainPipeline(loadHousingDataset(), { contract: housing, alpha: 10, seed: 0 }));
});
afterAll(() => app.close());

type Answer = Record<string, unknown> & { status: number; body: Record<string, unknown> };

async function ask(
  path: string,
  body?: object | string,
  method = body === undefined ? 'GET' : 'POST',
): Promise<Answer> {
  const sent = typeof body === 'string' ? body : JSON.stringify(body);
  const init = body === undefined ? {} : { body: sent, headers: { 'content-type': 'application/json' } };
  const response = await fetch(app.url + path, { method, ...init });
  return { status: response.status, body: (await response.json()) as Answer['body'] } as Answer;
}

const history = () => app.database.query('select action, reason from ml_pipeline_promotion order by promotion_id');
const problem = (status: number, code: string, more: object = {}) => ({
  status,
  body: expect.objectContaining({ type: `urn:ridgeline:error:${code}`, status, ...more }),
});
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

describe('GET /pipelines', () => {
  test('lists the versions in pages, the newest first', async () => {
    const { status, body } = await ask('/pipelines?limit=1');
    expect(status).toBe(200);
    expect(body).toEqual({
      pipelines: [
        {
          version: second,
          role: 'champion',
          created_at: time,
          promoted_at: time,
          metrics: expect.objectContaining({ cv_rmse: expect.any(Number), rows: 506 }),
          training_rows: { shipped: 506, labelled: 0, duplicates: 0 },
          rejected_reason: null,
        },
      ],
      next: second,
    });
    const rest = (await ask(`/pipelines?limit=1&before=${second}`)).body;
    expect(rest).toMatchObject({ pipelines: [{ version: first, role: 'retired' }], next: null });
    expect((await ask('/pipelines')).body).toMatchObject({ pipelines: [{}, {}], next: null });
  });

  test.each([
    ['limit=0', 'limit', 'invalid'],
    ['limit=201', 'limit', 'invalid'],
    ['limit=1e2', 'limit', 'invalid'],
    ['limit=', 'limit', 'invalid'],
    ['limit=1&limit=2', 'limit', 'repeated_parameter'],
    ['before=yesterday', 'before', 'invalid'],
    ['after=2', 'after', 'unknown_parameter'],
  ])('refuses ?%s', async (query, parameter, code) => {
    const errors = [{ parameter, code, message: expect.any(String) }];
    expect(await ask(`/pipelines?${query}`)).toEqual(problem(422, 'invalid_parameters', { errors }));
  });
});

describe('GET /pipelines/{version}', () => {
  test('tells all of a version', async () => {
    const { status, body } = await ask(`/pipelines/${first}`);
    expect(status).toBe(200);
    expect(body).toEqual({
      version: first,
      role: 'retired',
      created_at: time,
      promoted_at: time,
      metrics: expect.any(Object),
      training_rows: { shipped: 506, labelled: 0, duplicates: 0 },
      rejected_reason: null,
      declaration: housing.declaration,
      hyperparameters: { alpha: 1, seed: 0, folds: 10 },
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      trained_through: null,
      data_file: null,
      gates: [],
      promotions: [
        {
          promotion_id: expect.any(Number),
          version: first,
          previous: null,
          action: 'train',
          promoted_at: time,
          promoted_by: 'start',
          reason: 'first version',
        },
      ],
    });
  });

  test.each(['2020_01_01__00_00_00', 'nonsense', '%00', '%F0%9F%8D%B7'])('does not know %s', async (name) => {
    expect(await ask(`/pipelines/${name}`)).toEqual(problem(404, 'unknown_version'));
    expect(await ask(`/pipelines/${name}/promote`, { reason: 'x' })).toEqual(problem(404, 'unknown_version'));
  });
});

describe('a change of what is served', () => {
  test('is an entry of the history, and callers are answered by the version at once', async () => {
    const { status, body } = await ask('/pipelines/rollback', { reason: ' too high ' });
    expect(status).toBe(200);
    expect(body).toEqual({
      promotion_id: expect.any(Number),
      version: first,
      previous: second,
      action: 'rollback',
      promoted_at: time,
      promoted_by: 'http',
      reason: 'too high',
    });
    await eventually(async () => app.app.served()?.pipelineVersion === first);
    expect(await ask('/pipelines/rollback', { reason: 'again' })).toEqual(problem(409, 'nothing_to_roll_back'));

    const promoted = (await ask(`/pipelines/${second}/promote`, { reason: 'x', breaking: false })).body;
    expect(promoted).toMatchObject({ version: second, previous: first, action: 'hand' });
    expect((await ask(`/pipelines/${second}/promote`, { reason: 'once more' })).status).toBe(200);
    expect((await ask('/pipelines/resume', { reason: 'well' })).body).toMatchObject({
      version: second,
      action: 'resume',
    });
    expect((await ask('/pipelines/resume', { reason: 'well' })).status).toBe(200);
    await eventually(async () => app.app.served()?.pipelineVersion === second);
  });

  test.each([
    [{}, '/reason', 'missing'],
    ['', '/reason', 'missing'],
    [{ reason: '' }, '/reason', 'out_of_range'],
    [{ reason: '  ' }, '/reason', 'out_of_range'],
    [{ reason: 7 }, '/reason', 'invalid_type'],
    [{ reason: 'x'.repeat(1001) }, '/reason', 'out_of_range'],
    [{ reason: 'a\0b' }, '/reason', 'invalid'],
    [{ reason: 'x', colour: 1 }, '/colour', 'unknown_field'],
  ])('is refused with the body %j', async (body, pointer, code) => {
    const before = await history();
    for (const path of [`/pipelines/${first}/promote`, '/pipelines/rollback', '/pipelines/resume']) {
      const answer = body === '' ? await ask(path, undefined, 'POST') : await ask(path, body);
      expect(answer).toEqual(
        problem(422, 'invalid_body', { errors: [{ pointer, code, message: expect.any(String) }] }),
      );
    }
    expect(await history()).toEqual(before);
  });

  test('is refused where the version was rejected, is emptied, or would break callers', async () => {
    const change = (set: string) =>
      app.database.query(`update ml_pipeline set ${set} where pipeline_version = $1`, [first]);
    const promote = (more = {}) => ask(`/pipelines/${first}/promote`, { reason: 'x', ...more });
    await app.database.query("update ml_pipeline_promotion set promoted_by = 'train'");
    await change(`declaration = jsonb_set(declaration, '{features}', (declaration -> 'features') - 0)`);
    expect(await promote()).toEqual(problem(409, 'breaking_change'));
    expect((await promote({ breaking: true })).status).toBe(200);
    await ask(`/pipelines/${second}/promote`, { reason: 'back', breaking: true });
    await change(`rejected_at = now(), rejected_reason = 'It is empty.'`);
    const detail = 'It is empty. Promote another one.';
    expect(await promote()).toEqual(problem(409, 'version_rejected', { detail }));
    await change(`rejected_at = null, rejected_reason = null, artefact = ''`);
    expect(await promote()).toEqual(problem(409, 'version_emptied'));
  });
});

test.each([
  ['DELETE', '/pipelines', 'GET, HEAD'],
  ['DELETE', '/pipelines/2020_01_01__00_00_00', 'GET, HEAD'],
  ['GET', '/pipelines/2020_01_01__00_00_00/promote', 'POST'],
  ['PUT', '/pipelines/rollback', 'POST'],
])('%s %s is 405 with the methods that there are', async (method, path, allow) => {
  const response = await fetch(app.url + path, { method });
  expect([response.status, response.headers.get('allow')]).toEqual([405, allow]);
});

test('operators who wait for others hold up neither /health nor what is stored', async () => {
  const pool = createPool({ url: app.database.url, onError: () => undefined, max: 1 });
  const waiting = await transaction(pool, async (client) => {
    await lockRegistry(client);
    const promotions = Array.from({ length: 6 }, () => ask(`/pipelines/${second}/promote`, { reason: 'busy' }));
    const waiters = `select from pg_locks where not granted
      and database = (select oid from pg_database where datname = current_database())`;
    await eventually(async () => (await app.database.query(waiters)).length >= 2);
    const stored = async () => (await app.database.query('select id from predictions')).length;
    const before = await stored();
    expect((await ask('/predict', exampleRow(housing))).status).toBe(200);
    await eventually(async () => (await stored()) === before + 1);
    expect((await ask('/health')).body).toMatchObject({ status: 'ok', database: 'ok' });
    return promotions;
  });
  await pool.end();
  await Promise.all(waiting);
});

test('all of them are 503 while Postgres is away, and wait for nobody', async () => {
  await app.database.query('alter table ml_pipeline_promotion rename to elsewhere');
  const away = problem(503, 'database_unavailable');
  expect(await ask('/pipelines')).toEqual(away);
  expect(await ask(`/pipelines/${first}`)).toEqual(away);
  for (const path of [`/pipelines/${first}/promote`, '/pipelines/rollback', '/pipelines/resume']) {
    expect(await ask(path, { reason: 'x' })).toEqual(away);
  }
  await app.database.query('alter table elsewhere rename to ml_pipeline_promotion');
  expect((await ask('/pipelines')).status).toBe(200);
});
