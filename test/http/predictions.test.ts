/** GET /predictions/{id}: what operators are told of one prediction. */
import { Client } from 'pg';
import { v4, v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSimulatedClock } from '../../src/clock.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { everyType, loadHomes } from '../support/declaration.ts';
import { eventually } from '../support/eventually.ts';
import { articleRow, type PredictAnswer, post } from '../support/requests.ts';

const NOW = '2026-11-22T10:00:00.000Z';
const clock = createSimulatedClock(NOW);
let app: TestApp;
beforeAll(async () => {
  app = await startTestApp({ ADMIN_PORT: '0' }, { clock });
});
afterAll(() => app.close());

/** Of the contract that is served last. */
const home = {
  ...{ size: 71.5, 'Rooms (total)': 2 ** 53 - 1, floor: null, lift: true, garden: null },
  ...{ district: 'Śródmieście', heating: null, 'remark/~': 'a "quoted" 🐧' },
};

async function show(id: string): Promise<[status: number, body: Record<string, unknown>]> {
  const response = await fetch(`${app.adminUrl}/predictions/${id}`);
  return [response.status, (await response.json()) as Record<string, unknown>];
}

async function predict(row: object): Promise<PredictAnswer> {
  const answer = (await (await post(`${app.url}/predict`, row)).json()) as PredictAnswer;
  await eventually(async () => (await show(answer.prediction_id))[0] === 200);
  return answer;
}

const tell = async (prediction_id: string, actual: number | null, observed_at: string) =>
  expect((await post(`${app.url}/ground-truth`, { prediction_id, actual, observed_at })).status).toBe(200);

describe('a stored prediction', () => {
  test('is told with what was sent and answered, and its label in every state', async () => {
    const { prediction_id, prediction, model_version } = await predict(articleRow);
    const whole = { prediction_id, created_at: NOW, model_version, features: articleRow, prediction };
    const without = { ...whole, actual: null, observed_at: null, revision: null };
    expect(await show(prediction_id)).toEqual([200, without]);
    expect(await show(prediction_id.toUpperCase())).toEqual([200, without]);

    const first = '2026-11-22T09:00:00.000Z';
    await tell(prediction_id, 24.5, first);
    expect(await show(prediction_id)).toEqual([200, { ...whole, actual: 24.5, observed_at: first, revision: 1 }]);
    await tell(prediction_id, null, NOW);
    expect(await show(prediction_id)).toEqual([200, { ...whole, actual: null, observed_at: NOW, revision: 2 }]);
  });

  test('has the names, types and nulls of the version that answered, also when another one serves', async () => {
    const before = await predict(articleRow);
    const homes = trainPipeline(loadHomes(), { contract: everyType, alpha: 1, seed: 0 });
    await app.publish(homes);
    const { prediction_id } = await predict(home);
    const [, { features }] = await show(prediction_id);
    expect(features).toEqual({ ...home, select: null });
    expect(Object.keys(features as object)).toEqual(everyType.names);
    expect((await show(before.prediction_id))[1].features).toEqual(articleRow);
  });

  test.each([
    [
      'of a later release',
      `update ml_pipeline set declaration = declaration || '{"of_later": 1}' where pipeline_version = $1`,
    ],
    ['that is not there any more', 'delete from ml_pipeline where pipeline_version = $1'],
  ])('of a version %s has the names of the columns', async (_which, change) => {
    const [found] = await app.database.query<{ id: string; pipeline_version: string }>(
      'select id, pipeline_version from predictions where crim is not null',
    );
    await app.database.query('delete from ml_pipeline_promotion where pipeline_version = $1', [
      found!.pipeline_version,
    ]);
    await app.database.query(change, [found!.pipeline_version]);
    const [status, { features }] = await show(found!.id);
    expect(status).toBe(200);
    expect(features).toEqual(
      Object.fromEntries(Object.entries(articleRow).map(([name, value]) => [name.toLowerCase(), value])),
    );
  });
});

test('is not told while Postgres cannot be asked', async () => {
  await app.database.query('alter table ground_truth rename to elsewhere');
  const [{ id }] = (await app.database.query('select id from predictions limit 1')) as [{ id: string }];
  expect(await show(id)).toEqual([503, expect.objectContaining({ type: 'urn:ridgeline:error:database_unavailable' })]);
  await app.database.query('alter table elsewhere rename to ground_truth');
  expect((await show(id))[0]).toBe(200);
});

describe('what is not there', () => {
  const unknown = (detail = '') => [
    404,
    expect.objectContaining({
      type: 'urn:ridgeline:error:unknown_prediction',
      detail: expect.stringMatching(new RegExp(`dropped with its month\\.${detail}$`)),
    }),
  ];
  const hoursAgo = (hours: number) => v7({ msecs: new Date(NOW).getTime() - hours * 3_600_000 });

  test.each(['nonsense', v4(), '%00', '%F0%9F%8D%B7', `${v7()}x`, hoursAgo(24.1)])('is unknown: %s', async (id) => {
    expect(await show(id)).toEqual(unknown());
  });

  test('may wait in a spool, as it does while Postgres takes none', async () => {
    const locker = new Client({ connectionString: app.database.url });
    await locker.connect();
    await locker.query('begin; lock table predictions in exclusive mode');
    try {
      const { prediction_id } = (await (await post(`${app.url}/predict`, home)).json()) as PredictAnswer;
      expect(await show(prediction_id)).toEqual(unknown(' This one may still wait in a spool: .*'));
      await locker.query('rollback');
      await eventually(async () => (await show(prediction_id))[0] === 200);
    } finally {
      await locker.end();
    }
  });
});
