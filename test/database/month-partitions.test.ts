import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { startPartitionUpkeep } from '../../src/database/month-partitions.ts';
import { createPool, type Pool } from '../../src/database/pool.ts';
import { groundTruthMonths } from '../../src/ground-truth/months.ts';
import { housing } from '../../src/housing/features.ts';
import { createDirectWriter } from '../../src/prediction-log/direct-writer.ts';
import { encodeRecords } from '../../src/prediction-log/postgres/copy-format.ts';
import { predictionMonths } from '../../src/prediction-log/postgres/months.ts';
import { createPredictionsTable } from '../../src/prediction-log/postgres/predictions-table.ts';
import { blocksOf } from '../../src/prediction-log/prediction-batch.ts';
import { recordColumns } from '../../src/prediction-log/record-columns.ts';
import { makeBatch } from '../prediction-log/batches.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createNotedLog, type NotedLog } from '../support/noted-log.ts';

const tables = [...predictionMonths, ...groundTruthMonths];
let database: TestDatabase;
let pool: Pool;
let upkeep: { close(): void } | undefined;
let noted: NotedLog;

beforeEach(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined, max: 10 });
  noted = createNotedLog();
});
afterEach(async () => {
  upkeep?.close();
  upkeep = undefined;
  await pool.end();
  await database.drop();
});

/** As a month finds the table in which nobody has made partitions since: only the default is there. */
async function forgetMonths(): Promise<void> {
  for (const name of await partitions()) if (name !== 'predictions_default') await database.query(`drop table ${name}`);
}

async function partitions(): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'predictions'::regclass order by 1`,
  );
  return rows.map(({ name }) => name);
}

/** The name of the partition of the month that is so many months from now. */
async function nameOf(months: number): Promise<string> {
  const [row] = await database.query<{ name: string }>(
    `select to_char(now() at time zone 'UTC' + make_interval(months => $1), '"predictions_"YYYY_MM') as name`,
    [months],
  );
  return row!.name;
}

/** Writes this many rows in the middle of the month that is so many months from now. */
async function addRows(months: number, rows: number): Promise<void> {
  const features = housing.features.map(({ name }) => name.toLowerCase());
  await database.query(
    `insert into predictions (id, ${features.join(', ')}, prediction, pipeline_version, created_at)
     select gen_random_uuid(), ${features.map(() => 'i').join(', ')}, i, 'some version',
       (date_trunc('month', now() at time zone 'UTC') + make_interval(months => $1)) at time zone 'UTC' + i * interval '1 second'
     from generate_series(0, $2::int - 1) as i`,
    [months, rows],
  );
}

const everything = () =>
  database.query(
    'select count(*)::int as rows, count(distinct id)::int as ids, sum(prediction)::int as sum from predictions',
  );
const rowsIn = async (table: string) =>
  (await database.query<{ rows: number }>(`select count(*)::int as rows from ${table}`))[0]!.rows;

test('a start makes the months that have gone by, and brings their rows home from the default', async () => {
  await forgetMonths();
  for (const [months, rows] of [
    [-60, 7],
    [-14, 5],
    [-1, 200],
    [0, 3000],
    [2, 1],
    [48, 2],
  ] as const) {
    await addRows(months, rows);
  }
  const before = await everything();
  upkeep = startPartitionUpkeep({ pool, tables, clock: systemClock, log: noted.log });
  const wanted = await Promise.all([-14, -1, 0, 1, 2, 3].map(nameOf));
  await eventually(async () => (await partitions()).length === wanted.length + 1);
  expect(await partitions()).toEqual([...wanted, 'predictions_default'].toSorted());
  expect(await everything()).toEqual(before);
  expect(await Promise.all(wanted.map(rowsIn))).toEqual([5, 200, 3000, 0, 1, 0]);
  // Those of clocks that are years off.
  expect(await rowsIn('predictions_default')).toBe(9);

  await database.query(`drop table ${await nameOf(0)}`);
  expect(await rowsIn('predictions')).toBe(5 + 200 + 1 + 9);
});

test('a month is made like the others: key, index and checks', async () => {
  const shapeOf = (name: string) =>
    database.query(
      `select attname, attnotnull, format_type(atttypid, atttypmod),
         (select array_agg(replace(indexdef, $1, '') order by indexname) from pg_indexes where tablename = $1) as indexes,
         (select array_agg(pg_get_constraintdef(oid) order by pg_get_constraintdef(oid)) from pg_constraint where conrelid = $1::regclass) as checks
       from pg_attribute where attrelid = $1::regclass and attnum > 0 order by attnum`,
      [name],
    );
  await database.query('alter table predictions add constraint sane check (prediction < 1e9)');
  const name = await nameOf(1);
  const before = await shapeOf('predictions_default');
  await database.query(`drop table ${name}`);
  await database.query('select ensure_predictions_partitions(3)');
  const withoutName = (shape: Record<string, unknown>[]) =>
    shape.map((row) => ({ ...row, indexes: String(row.indexes).replaceAll(/predictions_default|_?ix/g, '') }));
  expect(withoutName(await shapeOf(name))).toEqual(withoutName(before));
});

test('a month that is still written to is left in the default while it has many rows there, and one that is over is not', async () => {
  await forgetMonths();
  const [before, now, next] = await Promise.all([-1, 0, 1].map(nameOf));
  await addRows(-1, 100_001);
  await addRows(0, 100_001);
  upkeep = startPartitionUpkeep({ pool, tables, clock: systemClock, log: noted.log });
  await eventually(async () => (await partitions()).includes(before!), 30_000);
  expect(await partitions()).toContain(next);
  expect(await partitions()).not.toContain(now);
  expect(await rowsIn('predictions_default')).toBe(100_001);
  await database.query(`delete from predictions_default where prediction = 0`);
  await database.query('select ensure_predictions_partitions(3)');
  expect(await rowsIn(now!)).toBe(100_000);
}, 60_000);

test('without a default partition the months are made all the same', async () => {
  const name = await nameOf(1);
  await database.query(`drop table predictions_default; drop table ${name}`);
  await database.query('select ensure_predictions_partitions(3)');
  expect(await partitions()).toContain(name);
});

test('a month that someone has detached is not made again, and holds up no other', async () => {
  const [detached, dropped] = [await nameOf(1), await nameOf(2)];
  await database.query(`alter table predictions detach partition ${detached}`);
  await database.query(`drop table ${dropped}`);
  upkeep = startPartitionUpkeep({ pool, tables, clock: systemClock, log: noted.log });
  await eventually(async () => (await partitions()).includes(dropped));
  expect(await partitions()).not.toContain(detached);
});

test('a month whose rows have a partition of another name is said once, and holds up no other', async () => {
  const [renamed, dropped] = [await nameOf(1), await nameOf(2)];
  await database.query(`alter table ${renamed} rename to mine; drop table ${dropped}`);
  upkeep = startPartitionUpkeep({ pool, tables, clock: systemClock, log: noted.log });
  await eventually(async () => (await partitions()).includes(dropped));
  await eventually(async () => noted.lines.length > 0);
  expect(noted.messages()).toEqual(['partitions of months are not as they should be']);
});

describe('while predictions are written', () => {
  test('nothing is lost, doubled or refused when this month is made and its rows brought home', async () => {
    await forgetMonths();
    await addRows(0, 20_000);
    const columns = recordColumns(housing);
    const table = createPredictionsTable(pool);
    let rows = 20_000;
    let isMade = false;
    const write = async () => {
      const writer = createDirectWriter(table);
      while (!isMade) {
        const batch = { ...makeBatch(10, housing), createdAt: new Date() };
        await writer.store({ columns, bytes: encodeRecords([blocksOf(batch)], columns) });
        rows += 10;
      }
    };
    const writers = Array.from({ length: 4 }, write);
    await delay(100);
    upkeep = startPartitionUpkeep({ pool, tables, clock: systemClock, log: noted.log });
    const name = await nameOf(0);
    await eventually(async () => (await partitions()).includes(name));
    await delay(100);
    isMade = true;
    await Promise.all(writers);
    expect(await rowsIn(name)).toBe(rows);
    expect(await rowsIn('predictions')).toBe(rows);
    expect(await rowsIn('predictions_default')).toBe(0);
  });

  test('nobody waits for a month that a reader holds up, and it is made soon after the reader has ended', async () => {
    const name = await nameOf(3);
    await database.query(`drop table ${name}`);
    const reader = new Client({ connectionString: database.url });
    reader.on('error', () => undefined);
    await reader.connect();
    await reader.query('begin; select count(*) from predictions');
    upkeep = startPartitionUpkeep({ pool, tables, clock: systemClock, log: noted.log });
    const isWaiting = `select from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'ensure_month_partition'`;
    await eventually(async () => (await database.query(isWaiting)).length > 0);
    // In line behind it or not: rows of this month go in at once.
    await addRowsWithin('100ms');
    expect(await database.query(isWaiting)).toHaveLength(1);
    await eventually(async () => noted.lines.length > 0);
    expect(await partitions()).not.toContain(name);
    await reader.query('commit');
    await eventually(async () => (await partitions()).includes(name), 30_000);
    await reader.end();
  }, 60_000);

  async function addRowsWithin(limit: string): Promise<void> {
    await database.query(`alter database ${new URL(database.url).pathname.slice(1)} set lock_timeout = '${limit}'`);
    await addRows(0, 10);
  }
});
