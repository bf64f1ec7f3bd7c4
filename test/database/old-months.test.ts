import { afterEach, beforeEach, expect, test } from 'vitest';
import { dropOldMonths, monthsBefore } from '../../src/database/old-months.ts';
import { createPool, type Pool } from '../../src/database/pool.ts';
import { groundTruthMonths } from '../../src/ground-truth/months.ts';
import { predictionMonths } from '../../src/prediction-log/postgres/months.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let pool: Pool;
beforeEach(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined, max: 2 });
});
afterEach(async () => {
  await pool.end();
  await database.drop();
});

const now = new Date('2021-03-15T12:00:00Z');

const tables = [...predictionMonths, ...groundTruthMonths];

async function dropOld(keepMonths: number, at = now): Promise<object[]> {
  const dropped: object[] = [];
  await dropOldMonths(pool, { tables, firstKept: monthsBefore(at, keepMonths), onDropped: (one) => dropped.push(one) });
  return dropped;
}

async function makeMonth(month: string): Promise<void> {
  await database.query('select ensure_predictions_month($1)', [month]);
}

async function addRow(at: string): Promise<void> {
  await database.query(
    `insert into predictions (id, prediction, pipeline_version, created_at) values (gen_random_uuid(), 1, 'any', $1)`,
    [at],
  );
}

const times = async () =>
  (await database.query<{ created_at: Date }>('select created_at from predictions order by 1')).map(({ created_at }) =>
    created_at.toISOString().slice(0, 19),
  );

async function partitions(): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'predictions'::regclass order by 1`,
  );
  return rows.map(({ name }) => name);
}

test('whole months go that ended before those that are kept, to the instant, also where the role has another zone', async () => {
  const name = new URL(database.url).pathname.slice(1);
  await database.query(`alter database ${name} set timezone = 'Pacific/Auckland'`);
  for (const month of ['2020-11-01', '2020-12-01', '2021-01-01', '2021-03-01']) await makeMonth(month);
  const [last, first] = ['2020-12-31T23:59:59', '2021-01-01T00:00:00'];
  for (const at of ['2020-11-01T00:00:00', last, first, '2021-03-15T11:59:59']) await addRow(`${at}Z`);
  expect(await dropOld(2)).toEqual([{ partition: 'predictions_2020_11' }, { partition: 'predictions_2020_12' }]);
  expect(await times()).toEqual([first, '2021-03-15T11:59:59']);
  expect(await dropOld(2)).toEqual([]);
});

test('whatever the name of a partition, it goes by its end; one that reaches into what is kept stays', async () => {
  await database.query("create table odd partition of predictions for values from ('2019-01-01Z') to ('2020-01-01Z')");
  await database.query(
    `create table "Year 2020" partition of predictions for values from ('2020-01-01Z') to ('2021-02-01Z')`,
  );
  expect(await dropOld(2)).toEqual([{ partition: 'odd' }]);
  expect(await dropOld(1)).toEqual([{ partition: '"Year 2020"' }]);
});

test('what came late goes again, and leaves no empty months behind', async () => {
  const present = new Date();
  const monthAgo = (months: number, day: number) =>
    new Date(Date.UTC(present.getUTCFullYear(), present.getUTCMonth() - months, day)).toISOString();
  const nameOf = (time: string) => `predictions_${time.slice(0, 7).replace('-', '_')}`;
  await makeMonth(monthAgo(4, 1).slice(0, 10));
  await dropOld(2, present);
  const before = await partitions();
  for (let i = 0; i < 3; i++) await addRow(monthAgo(4, 5));
  await addRow('2020-01-01T00:00:00Z');
  await addRow(monthAgo(1, 5));
  expect(await dropOld(2, present)).toEqual([{ partition: 'predictions_default', rows: 4 }]);
  // As the upkeep of partitions does, which looks at the default.
  await database.query('select ensure_predictions_partitions(3)');
  expect((await partitions()).filter((name) => !before.includes(name))).toEqual([nameOf(monthAgo(1, 5))]);
  expect(await times()).toEqual([monthAgo(1, 5).slice(0, 19)]);
});

test('one that cannot be dropped holds up no other, and waits for its lock two seconds', async () => {
  for (const month of ['2020-10-01', '2020-11-01']) await makeMonth(month);
  await database.query('create view of_october as select * from predictions_2020_10');
  const dropped: object[] = [];
  await expect(
    dropOldMonths(pool, { tables, firstKept: monthsBefore(now, 1), onDropped: (one) => dropped.push(one) }),
  ).rejects.toMatchObject({ code: '2BP01' });
  expect(dropped).toEqual([{ partition: 'predictions_2020_11' }]);

  const reader = await pool.connect();
  await reader.query('begin; select count(*) from predictions');
  await database.query('drop view of_october');
  await expect(dropOld(1)).rejects.toMatchObject({ code: '55P03' });
  await reader.query('rollback');
  reader.release();
  expect(await dropOld(1)).toEqual([{ partition: 'predictions_2020_10' }]);
});

test('a month of predictions goes with its truths, or none of them does', async () => {
  const month = '2020-11-01';
  for (const { name, timeColumn } of tables)
    await database.query('select ensure_month_partition($1, $2, $3, $4)', [name, timeColumn, month, now]);
  await addRow('2020-11-05T00:00:00Z');
  const label = "gen_random_uuid(), '2020-11-05T00:00:00Z', 1, null, '2020-11-06', '2020-11-06', 1, 1, null, 'any'";
  await database.query(`insert into ground_truth values (${label})`);
  await database.query(`insert into ground_truth values (${label.replaceAll('2020-11', '2020-10')})`);
  const reader = await pool.connect();
  await reader.query('begin; select from ground_truth_2020_11');
  await expect(dropOld(1)).rejects.toMatchObject({ code: '55P03' });
  expect(await times()).toHaveLength(1);
  expect(await database.query('select from ground_truth')).toHaveLength(1);
  await reader.query('rollback');
  reader.release();
  expect(await dropOld(1)).toEqual([
    { partition: 'predictions_2020_11' },
    { partition: 'ground_truth_2020_11' },
    { partition: 'ground_truth_revision_2020_11' },
  ]);
  expect(await times()).toEqual([]);
  expect(await database.query('select from ground_truth')).toEqual([]);
});
