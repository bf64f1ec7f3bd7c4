import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPool, type Pool } from '../../src/database/pool.ts';
import { createPredictionsTable } from '../../src/prediction-log/postgres/predictions-table.ts';
import { createPredictionLog, type PredictionLog } from '../../src/prediction-log/prediction-log.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { wines } from '../support/declaration.ts';
import { makeDirectory } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { createNotedLog } from '../support/noted-log.ts';
import { makeBatch } from './batches.ts';

let database: TestDatabase;
let pool: Pool;
let log: PredictionLog;
let root: string;

const noted = createNotedLog();
const common = () => ({
  root,
  fsync: false,
  maxBytes: 1_000_000,
  store: createPredictionsTable(pool),
  assumedColumns: [],
  servedContract: () => wines,
});

beforeAll(async () => {
  database = await createTestDatabase();
  const added = wines.columns.map(({ name, type }) => `add ${name} ${type}`);
  await database.query(`alter table predictions ${added.join()}`);
  pool = createPool({ url: database.url, onError: () => undefined });
  root = await makeDirectory('prediction-log');
  log = createPredictionLog({ ...common(), mode: 'sync', log: noted.log });
});
afterAll(async () => {
  await log.close(5_000);
  await pool.end();
  await rm(root, { recursive: true, force: true });
  await database.drop();
});

test('rows that Postgres has already, as the relay brings those of a write that could not be synced, are no failure', async () => {
  const batch = makeBatch(3, wines);
  await log.append(batch);
  await log.append(batch);
  expect(await database.query('select count(*)::int as rows from predictions')).toEqual([{ rows: 3 }]);
});

test('what Postgres refuses is told as not stored, and the log says once why, and once that it is over', async () => {
  const batch = makeBatch(1, wines);
  await database.query('alter table predictions add constraint refusing check (prediction < 0) not valid');
  for (let i = 0; i < 3; i++) {
    await expect(log.append(batch)).rejects.toMatchObject({ code: 'prediction_not_stored' });
  }
  await database.query('alter table predictions drop constraint refusing');
  await log.append(batch);
  expect(noted.lines.map(({ message, fields }) => [message, fields])).toEqual([
    ['predictions cannot be stored; callers are told to retry', { reason: expect.stringContaining('refusing') }],
    ['predictions can be stored again', {}],
  ]);
});

test.each([
  ['sync', { mode: 'sync' }],
  ['spool', { mode: 'spool' }],
  ['spool with fsync', { mode: 'spool', fsync: true }],
  ['spool without room, so straight to Postgres', { mode: 'spool', maxBytes: 0 }],
] as const)('%s: what is stored is the batch as it was when append returned', async (_name, options) => {
  const overwritten = createPredictionLog({ ...common(), log: noted.log, ...options });
  const batch = makeBatch(3, wines);
  const ids = [0, 1, 2].map((row) => Buffer.from(batch.ids.slice(16 * row, 16 * row + 16)).toString('hex'));
  const predictions = Array.from(batch.predictions);
  const stored = overwritten.append(batch);
  for (const memory of [batch.ids, batch.features, batch.predictions]) memory.fill(1);
  await stored;
  await overwritten.close(5_000);
  expect(
    await database.query(
      'select prediction, vineyard::integer, oak::integer from unnest($1::uuid[]) with ordinality join predictions on id = unnest order by ordinality',
      [ids],
    ),
  ).toEqual(predictions.map((prediction, row) => ({ prediction, vineyard: 5 * row + 1, oak: 5 * row + 4 })));
});

test('a batch that is larger than all of the spool goes straight to Postgres and keeps no other out of the spool', async () => {
  const spooled = await createPredictionLog({ ...common(), mode: 'spool', maxBytes: 65_536, log: noted.log });
  const append = (rows: number) => {
    const batch = makeBatch(rows, wines);
    return spooled.append(batch);
  };
  try {
    await append(2_000);
    expect(spooled.facts().lastError).toMatch(/SPOOL_MAX_BYTES/);
    await eventually(async () => spooled.facts().lastError === null);
    // Nobody waits for what the spool takes.
    expect(append(1)).toBe(undefined);
  } finally {
    await spooled.close(5_000);
  }
});

test('each time that neither spool nor Postgres takes predictions is told anew', { timeout: 30_000 }, async () => {
  const { log, messages } = createNotedLog();
  const real = createPredictionsTable(pool);
  let isAway = true;
  const spooled = createPredictionLog({
    ...common(),
    mode: 'spool',
    maxBytes: 8192,
    // The real store, which can be away without the server of all other tests.
    store: {
      ...real,
      insert: (...what) => (isAway ? Promise.reject(new Error('away')) : real.insert(...what)),
      rehearse: (...what) => (isAway ? Promise.reject(new Error('away')) : real.rehearse(...what)),
    },
    log,
  });
  const append = async () => {
    const batch = makeBatch(10, wines);
    await spooled.append(batch);
  };
  const timesTold = (beginning: string) => messages().filter((message) => message.startsWith(beginning)).length;
  try {
    for (const outage of [1, 2]) {
      isAway = true;
      await eventually(async () => {
        await append().catch(() => undefined);
        return timesTold('predictions cannot be stored') === outage;
      });
      expect(spooled.refusal()).toMatchObject({ code: 'prediction_not_stored' });
      expect(spooled.facts().refusing).toMatch(/SPOOL_MAX_BYTES.*away/);
      isAway = false;
      await eventually(async () => spooled.facts().rows === 0);
      await eventually(async () => spooled.facts().lastError === null);
      expect(spooled.facts().refusing).toBe(null);
      await append();
      expect(timesTold('the spool can be written again')).toBe(outage);
      expect(timesTold('predictions can be stored again')).toBe(outage);
    }
  } finally {
    await spooled.close(5_000);
  }
});
