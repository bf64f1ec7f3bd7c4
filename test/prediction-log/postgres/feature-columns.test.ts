import { randomUUID } from 'node:crypto';
import { afterAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Contract } from '../../../src/contract/contract.ts';
import { createPool, escapeIdentifier, type Pool, transaction } from '../../../src/database/pool.ts';
import { housing } from '../../../src/housing/features.ts';
import {
  ensureFeatureColumns,
  missingFeatureColumns,
  refuseUnstorable,
  withFreeColumns,
} from '../../../src/prediction-log/postgres/feature-columns.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { contractOf, everyType, wines } from '../../support/declaration.ts';

let database: TestDatabase;
let pool: Pool;
const opened: { pool: Pool; database: TestDatabase }[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined });
  opened.push({ pool, database });
});
afterAll(async () => {
  for (const one of opened) {
    await one.pool.end();
    await one.database.drop();
  }
});

const publish = (contract: Contract, earlier: readonly Contract[] = [], of = pool) =>
  transaction(of, (client) => ensureFeatureColumns(client, contract, earlier));

/** The columns of a contract as they are: their types, whether they may be null, what is said of them. */
const columnsOf = (contract: Contract) =>
  database.query<{ name: string; type: string; required: boolean; comment: string | null }>(
    `select attname as name, format_type(atttypid, atttypmod) as type, attnotnull as required,
       col_description(attrelid, attnum) as comment
     from pg_attribute where attrelid = 'predictions'::regclass and attname = any ($1) order by attnum`,
    [contract.columns.map(({ name }) => name)],
  );
/** Changes when a table is written anew. */
const files = () =>
  database.query("select relname, relfilenode from pg_class where relname like 'predictions%' order by relname");
const addHouse = (count = 1) =>
  database.query(
    `insert into predictions select gen_random_uuid(), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 24, 'v', now()
     from generate_series(1, $1)`,
    [count],
  );
/** The error, which must be there. */
const failure = (promise: Promise<unknown>): Promise<Error & { code?: string }> =>
  promise.then(
    () => expect.unreachable(),
    (error: Error) => error,
  );

test('are added with their types and what is said of them, and no row is rewritten for it', async () => {
  await addHouse(1_000);
  const before = await files();
  expect(await missingFeatureColumns(pool, everyType)).toEqual(everyType.columns);
  expect(await publish(everyType)).toEqual(everyType.columns);
  expect(await columnsOf(everyType)).toEqual([
    { name: 'size', type: 'double precision', required: false, comment: 'size (m2)' },
    { name: 'rooms_total', type: 'bigint', required: false, comment: 'Rooms (total)' },
    { name: 'floor', type: 'bigint', required: false, comment: 'floor' },
    { name: 'lift', type: 'boolean', required: false, comment: 'lift' },
    { name: 'garden', type: 'boolean', required: false, comment: 'garden' },
    { name: 'district', type: 'text', required: false, comment: 'district' },
    { name: 'heating', type: 'text', required: false, comment: 'heating' },
    { name: 'remark', type: 'text', required: false, comment: 'remark/~' },
    { name: 'select', type: 'double precision', required: false, comment: 'select' },
  ]);
  expect(await files()).toEqual(before);
  expect(
    await database.query('select count(*)::integer as rows, count(rad)::integer as houses from predictions'),
  ).toEqual([{ rows: 1_000, houses: 1_000 }]);
});

test('are described in words that may hold anything', async () => {
  const description = `It's "so" \\ $1 %s; -- 石`;
  await publish(contractOf([{ name: 'x', dtype: 'float64', description, unit: "o'clock" }]));
  const [column] = await columnsOf(contractOf([{ name: 'x', dtype: 'float64' }]));
  expect(column!.comment).toBe(`${description} (o'clock)`);
});

test('go with the transaction, and stay beside those of the next contract', async () => {
  const fails = transaction(pool, async (client) => {
    await ensureFeatureColumns(client, wines);
    throw new Error('the version cannot be published');
  });
  await expect(fails).rejects.toThrow(/cannot be published/);
  expect(await columnsOf(wines)).toEqual([]);
  await publish(wines);
  expect(await publish(everyType)).toHaveLength(9);
  expect(await publish(contractOf([...wines.features, { name: 'sulphates', dtype: 'float64' }]))).toEqual([
    { name: 'sulphates', type: 'double precision' },
  ]);
  expect(await columnsOf(wines)).toHaveLength(5);
});

test('that are there need no lock', async () => {
  expect(await publish(housing)).toEqual([]);
  await publish(wines);
  const operator = await pool.connect();
  onTestFinished(() => operator.release());
  await operator.query('begin; lock table predictions in access exclusive mode');
  expect(await publish(housing)).toEqual([]);
  expect(await publish(wines)).toEqual([]);
  await operator.query('rollback');
});

test('that are missing are not waited for longer than two seconds, and nothing is changed then', async () => {
  const reader = await pool.connect();
  onTestFinished(() => reader.release());
  await reader.query('begin; select count(*) from predictions');
  expect(await failure(publish(wines))).toMatchObject({ code: '55P03' });
  expect(await columnsOf(wines)).toEqual([]);
  await reader.query('commit');
  expect(await publish(wines)).toHaveLength(5);
});

describe('a contract is refused', () => {
  test('when a column of its name has another type, unless that is its own that somebody has altered', async () => {
    await publish(wines);
    const other = contractOf([{ name: 'sugar', dtype: 'string' }]);
    expect(await failure(publish(other))).toMatchObject({
      code: 'declaration',
      message: expect.stringMatching(
        /column sugar of type double precision already.*store text.*another "column"\. Print the declaration with npm run/,
      ),
    });
    await publish(contractOf([{ name: 'sugar', dtype: 'string', column: 'sweetness' }]));
    await database.query('alter table predictions alter sugar type numeric, alter chas type double precision');
    expect(await failure(publish(wines))).toMatchObject({ code: 'declaration' });
    expect(await publish(wines, [housing, wines])).toEqual([]);
    expect(await publish(housing, [housing, wines])).toEqual([]);
    expect(await failure(publish(other, [housing, wines]))).toMatchObject({ code: 'declaration' });
  });

  test('when its columns would be more than Postgres allows, dropped ones included', async () => {
    const filler = Array.from({ length: 1_577 }, (_, i) => `add c${i} bigint`);
    await database.query(`alter table predictions ${filler.join()}`);
    await database.query('alter table predictions drop c0');
    // 17 and 1,577 are there.
    const numbers = (count: number) =>
      contractOf(Array.from({ length: count }, (_, i) => ({ name: `f${i}`, dtype: 'float64' })));
    expect(await failure(publish(numbers(7)))).toMatchObject({
      code: 'declaration',
      message: expect.stringMatching(/has 1594 columns.*7 more are needed.*allows 1600.*"column"/),
    });
    expect(await publish(numbers(6))).toHaveLength(6);
    await addHouse();
  });

  const texts = (count: number, length: number, numbers = 0) =>
    contractOf([
      ...Array.from({ length: count }, (_, i) => ({ name: `t${i}`, dtype: 'string', max_length: length })),
      ...Array.from({ length: numbers }, (_, i) => ({ name: `n${i}`, dtype: 'float64' })),
    ]);

  test('when a row of it does not fit a page of Postgres, and the widest other one does, whatever it holds', async () => {
    const widest = texts(316, 3_000, 2);
    expect(await failure(publish(texts(317, 3_000)))).toMatchObject({
      code: 'declaration',
      message: expect.stringMatching(/take 7608 bytes of a page.*may take 7600.*declare fewer/),
    });
    // The more columns of other contracts, the larger the row: each has a bit in it.
    const others = Array.from({ length: 1_200 }, (_, i) => `add c${i} bigint`);
    await database.query(`alter table predictions ${others.join()}`);
    await publish(widest);
    const names = widest.columns.map(({ name }) => escapeIdentifier(name)).join();
    const places = widest.columns.map((_, i) => `$${i + 4}`).join();
    for (const length of [0, 1, 7, 23, 24, 25, 100, 127, 128, 300, 3_000]) {
      // Texts that cannot be compressed.
      const values = widest.columns.map(({ type }) => (type === 'text' ? randomText(length) : Math.random()));
      await database.query(
        `insert into predictions (id, prediction, pipeline_version, created_at, ${names})
         values ($1, $2, $3, now(), ${places})`,
        [randomUUID(), 1, '2026_11_22__16_08_52', ...values],
      );
    }
    expect(await database.query('select count(t315)::integer as rows from predictions')).toEqual([{ rows: 11 }]);
  });

  test('when its texts can be longer together than the spool takes, categories included', () => {
    refuseUnstorable(texts(121, 8_192));
    expect(() => refuseUnstorable(texts(122, 8_192))).toThrow(/could have 1000400 bytes.*lower max_length/);
    const categories = ['x'.repeat(1_000_001)];
    expect(() => refuseUnstorable(contractOf([{ name: 't', dtype: 'string', categories }]))).toThrow(/max_length/);
  });

  test('when there is no table yet', async () => {
    await database.query('drop table predictions');
    expect(await failure(publish(wines))).toMatchObject({
      code: 'database_setup',
      message: expect.stringMatching(/migrate/),
    });
  });

  test('when the role may not alter the table and has to, in words that its owner can run', async () => {
    const name = `writer_${randomUUID().slice(0, 8)}`;
    await database.query(`create role ${name} login password 'writer'`);
    await database.query(`grant select, insert on predictions to ${name}`);
    const url = Object.assign(new URL(database.url), { username: name, password: 'writer' });
    const restricted = createPool({ url: url.href, onError: () => undefined });
    onTestFinished(async () => {
      await restricted.end();
      await database.query(`drop owned by ${name}; drop role ${name}`);
    });
    expect(await publish(housing, [], restricted)).toEqual([]);
    const { code, message } = await failure(publish(everyType, [], restricted));
    expect(code).toBe('database_setup');
    const [, statement] = /own the table predictions.* (alter table .*;)$/.exec(message)!;
    await database.query(statement!);
    expect(await publish(everyType, [], restricted)).toEqual([]);
  });
});

function randomText(length: number): string {
  let text = '';
  while (text.length < length) text += randomUUID();
  return text.slice(0, length);
}

test('of a derived declaration keep out of the way of those with another type, the same ones each time', async () => {
  const people = contractOf([
    { name: 'age', dtype: 'int64' },
    { name: 'age 2', dtype: 'string' },
    { name: 'rm', dtype: 'float64' },
  ]);
  const free = await withFreeColumns(pool, people);
  expect(free.columns).toEqual([
    { name: 'age_3', type: 'bigint' },
    { name: 'age_2', type: 'text' },
    { name: 'rm', type: 'double precision' },
  ]);
  expect(await publish(free)).toEqual(free.columns.slice(0, 2));
  expect((await withFreeColumns(pool, people)).text).toBe(free.text);
  expect(await withFreeColumns(pool, free)).toBe(free);
});
