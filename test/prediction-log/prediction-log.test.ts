import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPool, type Pool } from '../../src/database/pool.ts';
import { sqlColumns } from '../../src/feature-schema.ts';
import { housing } from '../../src/housing/features.ts';
import { recordColumns } from '../../src/prediction-log/postgres/copy-format.ts';
import { createPredictionsTable } from '../../src/prediction-log/postgres/predictions-table.ts';
import { createDirectLog, createSpooledLog, type PredictionLog } from '../../src/prediction-log/prediction-log.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectory } from '../support/directory.ts';
import { eventually } from '../support/server.ts';
import { makeBatch } from './batches.ts';

/** How long a spool that has failed is left alone. */
const SPOOL_PAUSE_MS = 2_000;

let database: TestDatabase;
let pool: Pool;
let log: PredictionLog;
const lines: [message: string, fields: object][] = [];

const note = (fields: object, message: string) => lines.push([message, fields]);
const noted = { info: note, warn: note, error: note };
const columns = recordColumns(sqlColumns(housing));

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined });
  log = createDirectLog({ store: createPredictionsTable(pool), columns, log: noted });
});
afterAll(async () => {
  await log.close(0);
  await pool.end();
  await database.drop();
});

test('rows that Postgres has already, as the relay brings those of a write that could not be synced, are no failure', async () => {
  const batch = makeBatch(3);
  batch.features = batch.features.map((_, i) => i);
  await log.append(batch);
  await log.append(batch);
  expect(await database.query('select count(*)::int as rows from predictions')).toEqual([{ rows: 3 }]);
});

test('what Postgres refuses is told as not stored, and the log says once why, and once that it is over', async () => {
  const batch = makeBatch(1);
  batch.features = batch.features.map((_, i) => i);
  await database.query('alter table predictions add constraint refusing check (prediction < 0) not valid');
  for (let i = 0; i < 3; i++) {
    await expect(log.append(batch)).rejects.toMatchObject({ code: 'prediction_not_stored' });
  }
  await database.query('alter table predictions drop constraint refusing');
  await log.append(batch);
  expect(lines).toEqual([
    ['predictions cannot be stored; callers are told to retry', { reason: expect.stringContaining('refusing') }],
    ['predictions can be stored again', {}],
  ]);
});

test.each([
  ['sync', undefined],
  ['spool', { fsync: false, maxBytes: 1_000_000 }],
  ['spool with fsync', { fsync: true, maxBytes: 1_000_000 }],
  ['spool without room, so straight to Postgres', { fsync: false, maxBytes: 0 }],
] as const)('%s: what is stored is the batch as it was when append returned', async (_name, options) => {
  const root = await makeDirectory('prediction-log');
  const direct = { store: createPredictionsTable(pool), columns, log: noted };
  const overwritten = options ? await createSpooledLog({ ...direct, ...options, root }) : createDirectLog(direct);
  const batch = makeBatch(3);
  batch.features = batch.features.map((_, i) => i);
  const ids = [0, 1, 2].map((row) => Buffer.from(batch.ids.slice(16 * row, 16 * row + 16)).toString('hex'));
  const predictions = Array.from(batch.predictions);
  const stored = overwritten.append(batch);
  for (const memory of [batch.ids, batch.features, batch.predictions]) memory.fill(1);
  await stored;
  await overwritten.close(5_000);
  await rm(root, { recursive: true, force: true });
  expect(
    await database.query(
      'select prediction, crim, lstat from unnest($1::uuid[]) with ordinality join predictions on id = unnest order by ordinality',
      [ids],
    ),
  ).toEqual(predictions.map((prediction, row) => ({ prediction, crim: 13 * row, lstat: 13 * row + 12 })));
});

test('each time that neither spool nor Postgres takes predictions is told anew', { timeout: 30_000 }, async () => {
  const root = await makeDirectory('prediction-log');
  const messages: string[] = [];
  const noteMessage = (_fields: object, message: string) => messages.push(message);
  const real = createPredictionsTable(pool);
  let isAway = true;
  const spooled = await createSpooledLog({
    root,
    columns,
    fsync: false,
    maxBytes: 8192,
    // The real store, which can be away without the server of all other tests.
    store: {
      ...real,
      insert: (columns, records) => (isAway ? Promise.reject(new Error('away')) : real.insert(columns, records)),
    },
    log: { info: noteMessage, warn: noteMessage, error: noteMessage },
  });
  const append = async () => {
    const batch = makeBatch(10);
    batch.features = batch.features.map((_, i) => i);
    await spooled.append(batch);
  };
  const timesTold = (beginning: string) => messages.filter((message) => message.startsWith(beginning)).length;
  try {
    for (const outage of [1, 2]) {
      isAway = true;
      await eventually(async () => {
        await append().catch(() => undefined);
        return timesTold('predictions cannot be stored') === outage;
      });
      isAway = false;
      await eventually(async () => spooled.backlog().rows === 0);
      await delay(SPOOL_PAUSE_MS);
      await append();
      expect(timesTold('the spool can be written again')).toBe(outage);
      expect(timesTold('predictions can be stored again')).toBe(outage);
    }
  } finally {
    await spooled.close(5_000);
    await rm(root, { recursive: true, force: true });
  }
});
