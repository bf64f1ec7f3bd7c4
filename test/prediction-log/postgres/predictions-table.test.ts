/** The table as it may have become: whatever an operator does to it beside a running server, no stored value is wrong. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Column } from '../../../src/contract/contract.ts';
import { createPool, type Pool } from '../../../src/database/pool.ts';
import { encodeRecords } from '../../../src/prediction-log/postgres/copy-format.ts';
import { failureOf } from '../../../src/prediction-log/postgres/failures.ts';
import { createPredictionsTable } from '../../../src/prediction-log/postgres/predictions-table.ts';
import { firstRecords, splitRecords } from '../../../src/prediction-log/postgres/tuples.ts';
import { blocksOf } from '../../../src/prediction-log/prediction-batch.ts';
import { insertIdempotently, type PredictionStore } from '../../../src/prediction-log/prediction-store.ts';
import { recordColumns } from '../../../src/prediction-log/record-columns.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { contractOf } from '../../support/declaration.ts';
import { batchOf, makeBatch, makeColumns } from '../batches.ts';

const columns = recordColumns({
  columns: [
    { name: 'x', type: 'double precision' },
    { name: 'n', type: 'bigint' },
  ],
});

let database: TestDatabase;
let pool: Pool;
let store: PredictionStore;

beforeAll(async () => {
  database = await createTestDatabase({ migrated: false });
  pool = createPool({ url: database.url, onError: () => undefined, max: 1 });
  store = createPredictionsTable(pool);
});
beforeEach(async () => {
  // The view of some tests goes with its table.
  await database.query('drop table if exists kept, known cascade');
  await database.query('drop table if exists predictions cascade');
  await database.query('drop function if exists pass, refuse, wait cascade');
  await database.query(
    `create table predictions (id uuid not null, x double precision not null, n bigint not null,
       prediction double precision not null, pipeline_version text not null, created_at timestamptz not null,
       primary key (id, created_at)) partition by range (created_at)`,
  );
  await database.query('create table predictions_default partition of predictions default');
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

/** Rows whose features are x = 1.5, 2.5, ... and n = 1, 2, ... */
function makeRecords(rows: number, of: readonly Column[] = columns): Buffer {
  const width = of.length - 4;
  const batch = makeBatch(rows, width);
  batch.features = batch.features.map((_, i) => Math.floor(i / width) + 1 + (i % width === 0 ? 0.5 : 0));
  return encodeRecords([blocksOf(batch)], of);
}

const stored = () => database.query('select x::text, n::text from predictions order by n::float8');
const rowsOf = (count: number) => Array.from({ length: count }, (_, i) => ({ x: String(i + 1.5), n: String(i + 1) }));
const failure = async (inserting: Promise<void>) =>
  inserting.then(
    () => ({ kind: 'none', message: '' }),
    (error: Error) => ({ kind: store.failureOf(error), message: error.message }),
  );

describe('on a connection that has known the table otherwise', () => {
  test('a column whose type has changed gets the value that was answered', async () => {
    await store.insert(columns, makeRecords(1));
    await database.query('truncate predictions');
    await database.query('alter table predictions alter n type double precision, alter x type numeric');
    await store.insert(columns, makeRecords(3));
    expect(await stored()).toEqual(rowsOf(3));
    await database.query('truncate predictions');
    await database.query('alter table predictions alter n type bigint, alter x type double precision');
    await store.insert(columns, makeRecords(3));
    expect(await stored()).toEqual(rowsOf(3));
  });

  test('a record that a trigger leaves out is not told of when it is there already', async () => {
    const records = makeRecords(3);
    await store.insert(columns, records);
    await database.query(`
      create function pass() returns trigger language plpgsql as 'begin return null; end';
      create trigger emptying before insert on predictions for each row execute function pass()`);
    await insertIdempotently(store, columns, records);
    expect(await stored()).toEqual(rowsOf(3));
  });

  test('so does one whose type is being changed while the records wait for its lock', async () => {
    await store.insert(columns, makeRecords(1));
    await database.query('truncate predictions');
    const other = createPool({ url: database.url, onError: () => undefined, max: 1 });
    const operator = await other.connect();
    await operator.query('begin');
    await operator.query('alter table predictions alter n type double precision, alter x type numeric');
    const inserting = store.insert(columns, makeRecords(2));
    await delay(100);
    await operator.query('commit');
    await inserting;
    operator.release();
    await other.end();
    expect(await stored()).toEqual(rowsOf(2));
  });
});

describe('a table that is as it was, and more', () => {
  test.each([
    ['columns were added', 'alter table predictions add note text, add score double precision not null default 0'],
    ['a column is computed', 'alter table predictions add twice double precision generated always as (x * 2) stored'],
    ['a column was taken away and put back, at the end', 'alter table predictions drop n, add n bigint not null'],
    ['it has a trigger', 'create trigger checking before insert on predictions for each row execute function pass()'],
    [
      'it is not partitioned',
      'drop table predictions_default; alter table predictions rename to old; create table predictions (like old including all); drop table old',
    ],
    ['its ids have become text', 'alter table predictions alter id type text'],
    ['it is a view', 'alter table predictions rename to kept; create view predictions as select * from kept'],
  ])('%s: records are stored, and stored once', async (_, change) => {
    await database.query(
      "create or replace function pass() returns trigger language plpgsql as 'begin return new; end'",
    );
    await database.query(change);
    const records = makeRecords(1200);
    await store.insert(columns, records.subarray(0, records.length / 2));
    await insertIdempotently(store, columns, records);
    expect(await stored()).toEqual(rowsOf(1200));
  });

  test('its columns may have any name', async () => {
    const names = [
      'order',
      'table',
      'user',
      'a "quoted" one',
      "o'clock",
      'Größe',
      'two  words',
      'back\\slash',
      '%s $1',
    ];
    const features = names.map((name, i): Column => ({ name, type: i % 2 ? 'bigint' : 'double precision' }));
    const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
    for (const { name, type } of features) await database.query(`alter table predictions add ${quoted(name)} ${type}`);
    await database.query('alter table predictions drop x, drop n');
    const own = recordColumns({ columns: features });
    const records = makeRecords(2, own);
    await store.insert(own, records.subarray(0, records.length / 2));
    await store.insertMissing(own, records);
    const found = await database.query<Record<string, unknown>>(
      `select ${names.map((name) => `${quoted(name)}::float8`).join()} from predictions order by "table"`,
    );
    expect(found.map((row) => Object.values(row))).toEqual([
      [1.5, ...Array(8).fill(1)],
      [2.5, ...Array(8).fill(2)],
    ]);
  });

  test.each([
    ['has every row', ''],
    [
      'has policies',
      'alter table predictions enable row level security; create policy own on predictions using (true)',
    ],
  ])('that %s takes what is missing from a role that may create nothing, not even for a moment', async (_, change) => {
    await database.query(change);
    const records = makeRecords(3);
    await asWriter(async (restricted) => {
      await restricted.insert(columns, records.subarray(0, records.length / 3));
      await insertIdempotently(restricted, columns, records);
    });
    expect(await stored()).toEqual(rowsOf(3));
  });
});

describe('values that are no numbers', () => {
  const apartments = contractOf([
    { name: 'district', dtype: 'string', nullable: true },
    { name: 'lift', dtype: 'bool', nullable: true },
    { name: 'rooms', dtype: 'int64', nullable: true },
    { name: 'size', dtype: 'float64', nullable: true },
  ]);
  const of = recordColumns(apartments);
  const rows = [
    { district: 'Wola', lift: true, rooms: 2 ** 53 - 1, size: 0.1 },
    { district: null, lift: null, rooms: null, size: null },
    { district: '', lift: false, rooms: 0, size: -1.5 },
  ];
  const records = () => encodeRecords([blocksOf(batchOf(apartments, rows))], of);
  const found = () =>
    database.query(
      `select district, lift::text::boolean as lift, rooms::float8, size::float8 from predictions
       where pipeline_version > '' order by rooms desc nulls last`,
    );

  beforeEach(() =>
    database.query(`alter table predictions alter x drop not null, alter n drop not null,
      add district text, add lift boolean, add rooms bigint, add size double precision`),
  );

  test.each([
    ['as it was made', ''],
    [
      'with other types',
      'alter table predictions alter district type varchar(9), alter lift type text, alter rooms type numeric',
    ],
    [
      'with a trigger',
      `create function pass() returns trigger language plpgsql as 'begin return new; end';
       create trigger checking before insert on predictions for each row execute function pass()`,
    ],
  ])('are stored in a table %s, null as NULL, and once', async (_, change) => {
    await database.query(change);
    const sent = records();
    await store.insert(of, firstRecords(sent, 2));
    await insertIdempotently(store, of, sent);
    const [first, second, third] = rows;
    expect(await found()).toEqual([first, third, second]);
  });

  test('are refused where a column cannot hold one as it is, and blocked where it must not be null', async () => {
    await database.query('alter table predictions alter district type varchar(3)');
    expect(await failure(store.insert(of, records()))).toEqual({
      kind: 'refused',
      message: expect.stringMatching(/too long|cannot hold Wola/),
    });
    await database.query('alter table predictions alter district type text, alter n set not null');
    expect(await failure(store.insert(of, records()))).toEqual({
      kind: 'blocked',
      message: expect.stringMatching(/column "n" that must not be null and that no prediction has/),
    });
  });

  test('are refused for a NUL, which neither a caller nor a category may send', async () => {
    const batch = batchOf(apartments, [{ ...rows[0]!, district: 'a\0b' }]);
    expect((await failure(store.insert(of, encodeRecords([blocksOf(batch)], of)))).kind).toBe('refused');
  });

  test('whose columns are missing are blocked with the statement that adds them', async () => {
    await database.query('alter table predictions drop district, drop lift');
    const { kind, message } = await failure(store.insertMissing(of, records()));
    expect(kind).toBe('blocked');
    expect(message).toContain('predictions has no column "district", "lift".');
    await database.query(/run: (alter table .*;)$/.exec(message)![1]!);
    await store.insertMissing(of, records());
    expect(await found()).toHaveLength(3);
  });
});

/** With the store of a role that may read and add, and nothing else. */
async function asWriter(work: (restricted: PredictionStore) => Promise<void>): Promise<void> {
  const url = new URL(database.url);
  const name = url.pathname.slice(1);
  await database.query(`revoke temporary on database ${name} from public`);
  await database.query(`create role ${name} login password 'writer'`);
  await database.query(`grant insert, select on predictions to ${name}`);
  Object.assign(url, { username: name, password: 'writer' });
  const own = createPool({ url: url.href, onError: () => undefined });
  try {
    await work(createPredictionsTable(own));
  } finally {
    await own.end();
    await database.query(`drop owned by ${name}`);
    await database.query(`drop role ${name}`);
  }
}

/** A line to the database that takes what is sent in small portions. */
async function slowLine(databaseUrl: string): Promise<{ url: string; close: () => void }> {
  const url = new URL(databaseUrl);
  const { hostname, port } = url;
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    upstream.pipe(client);
    client.on('close', () => upstream.destroy());
    client.on('data', (bytes) => {
      upstream.write(bytes);
      client.pause();
      setTimeout(() => client.resume(), 3);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  Object.assign(url, { hostname: '127.0.0.1', port: String((server.address() as AddressInfo).port) });
  return { url: url.href, close: () => server.close() };
}

describe('what cannot be stored', () => {
  test.each([
    ['a check', 'alter table predictions add constraint small check (n < 2)', 'refused', /small/],
    [
      'another unique index',
      'create unique index lone on predictions (pipeline_version, created_at)',
      'duplicate',
      /lone|_idx/,
    ],
    [
      'an exclusion',
      'alter table predictions_default add constraint apart exclude using btree (pipeline_version with =)',
      'refused',
      /apart/,
    ],
    [
      'a key that points to nothing',
      'create table known (n bigint primary key); alter table predictions add foreign key (n) references known',
      'refused',
      /foreign key/,
    ],
    [
      'a narrower type',
      'alter table predictions alter n type smallint, alter pipeline_version type varchar(5)',
      'refused',
      /too long/,
    ],
    [
      "a trigger's verdict",
      "create function refuse() returns trigger language plpgsql as 'begin raise exception ''not today''; end'; create trigger refusing before insert on predictions for each row execute function refuse()",
      'refused',
      /not today/,
    ],
    [
      'a trigger that leaves a record out in silence',
      "create function refuse() returns trigger language plpgsql as 'begin return case when new.n < 2 then new end; end'; create trigger refusing before insert on predictions for each row execute function refuse()",
      'refused',
      /a trigger of predictions leaves it out/,
    ],
    [
      'such a trigger of a partition',
      "create function refuse() returns trigger language plpgsql as 'begin return null; end'; create trigger refusing before insert on predictions_default for each row execute function refuse()",
      'refused',
      /a trigger of predictions leaves it out/,
    ],
    [
      'a type that rounds',
      'alter table predictions alter x type integer',
      'refused',
      /"x" of predictions is integer, which cannot hold 1\.5 as it is/,
    ],
    [
      'a type of fewer digits',
      'alter table predictions alter x type numeric(6,0), alter n type real',
      'refused',
      /"x" of predictions is numeric\(6,0\), which cannot hold 1\.5 as it is/,
    ],
    [
      'a month without a partition',
      'alter table predictions detach partition predictions_default; drop table predictions_default',
      'blocked',
      /no partition of relation "predictions" found/,
    ],
    [
      "a view's verdict",
      'alter table predictions rename to kept; create view predictions as select * from kept where n < 2 with check option',
      'refused',
      /check option/,
    ],
    [
      'a column that is gone',
      'alter table predictions drop n',
      'blocked',
      /no column "n"\. If it was renamed.*publish the pipeline.*: alter table predictions add column "n" bigint;$/,
    ],
    ['a column that was renamed', 'alter table predictions rename n to m', 'blocked', /no column "n"/],
    [
      'a column that must be given and is not known',
      'alter table predictions add must text not null',
      'blocked',
      /column "must" .* Give it a default, or drop it/,
    ],
    [
      'a column that has become a computed one',
      'alter table predictions drop n, add n bigint generated always as (1) stored',
      'blocked',
      /generated/,
    ],
    ['a type to which nothing converts', 'alter table predictions drop n, add n point', 'blocked', /type point/],
    ['a table that is gone', 'drop table predictions', 'blocked', /"predictions" does not exist/],
  ])('for %s is told as such, and the connection goes on', async (_, change, kind, message) => {
    const pidOf = async () => (await pool.query('select pg_backend_pid() as pid')).rows[0].pid;
    const before = await pidOf();
    await database.query(change);
    const found = await failure(insertIdempotently(store, columns, makeRecords(2)));
    expect(found).toEqual({ kind, message: expect.stringMatching(message) });
    expect(await pidOf()).toBe(before);
    expect((await pool.query('select now() = statement_timestamp() as free')).rows).toEqual([{ free: true }]);
  });

  test("for a policy's verdict is refused, unlike a right that is missing", async () => {
    await database.query('alter table predictions enable row level security');
    await database.query('create policy own on predictions using (true) with check (n < 2)');
    await asWriter(async (restricted) => {
      expect((await failure(restricted.insert(columns, makeRecords(2)))).kind).toBe('refused');
      await database.query(`revoke insert on predictions from public, ${new URL(database.url).pathname.slice(1)}`);
      expect((await failure(restricted.insert(columns, makeRecords(2)))).kind).toBe('blocked');
    });
  });

  test('is told though most of it is still on its way, and neither the process nor the connection suffers', async () => {
    const slowly = await slowLine(database.url);
    const own = createPool({ url: slowly.url, onError: () => undefined, max: 1 });
    const uncaught: Error[] = [];
    const note = (error: Error) => uncaught.push(error);
    process.on('uncaughtException', note);
    try {
      await database.query('alter table predictions add constraint large check (n > 1)');
      const records = makeRecords(30_000);
      const distant = createPredictionsTable(own);
      for (let i = 0; i < 4; i++) expect((await failure(distant.insert(columns, records))).kind).toBe('refused');
      const [first] = splitRecords(records);
      await distant.insert(columns, records.subarray(first!.length));
    } finally {
      process.off('uncaughtException', note);
      await own.end();
      slowly.close();
    }
    expect(uncaught).toEqual([]);
    expect(await database.query('select count(*)::int as rows from predictions')).toEqual([{ rows: 29_999 }]);
  });

  test('because a row is larger than a page is refused', async () => {
    const wide = makeColumns(1100);
    await database.query('drop table predictions');
    await database.query(
      `create table predictions (${wide.map(({ name, type }) => `${name} ${type}`).join()}, primary key (id, created_at))`,
    );
    const found = await failure(store.insert(wide, makeRecords(1, wide)));
    expect(found).toEqual({ kind: 'refused', message: expect.stringContaining('row is too big') });
  });

  test('in time is told as slow, whoever gave up, and the records can be stored afterwards', async () => {
    await database.query(
      "create function wait() returns trigger language plpgsql as 'begin perform pg_sleep(0.3); return new; end'",
    );
    await database.query('create trigger waiting before insert on predictions for each row execute function wait()');
    const records = makeRecords(2);
    await pool.query('set statement_timeout = 400');
    const cancelled = await failure(store.insert(columns, records));
    await pool.query('reset statement_timeout');
    expect(cancelled).toEqual({ kind: 'slow', message: expect.stringContaining('statement timeout') });
    expect(await failure(store.insert(columns, records, 200))).toEqual({
      kind: 'slow',
      message: 'no answer within 0.2 s',
    });
    // Of what was given up here, the server may go on, and commit.
    await insertIdempotently(store, columns, records);
    expect(await stored()).toEqual(rowsOf(2));
  });
});

test('a row is on the disk when it is stored, also where a database confirms commits before', async () => {
  await database.query(`
    create table known (setting text);
    create function pass() returns trigger language plpgsql as
      $$ begin insert into known select current_setting('synchronous_commit'); return null; end $$;
    create trigger noting after insert on predictions for each statement execute function pass()`);
  const settings = async () => (await database.query<{ setting: string }>('table known')).map(({ setting }) => setting);
  const { name } = (await database.query<{ name: string }>('select current_database() as name'))[0]!;
  await database.query(`alter database ${name} set synchronous_commit = off`);
  const careless = createPool({ url: database.url, onError: () => undefined, max: 1 });
  try {
    const records = makeRecords(2);
    await createPredictionsTable(careless).insert(columns, records);
    await createPredictionsTable(careless).insertMissing(columns, records);
    await database.query(`alter database ${name} reset synchronous_commit`);
    await store.insertMissing(columns, records);
    expect(await settings()).toEqual(['local', 'local', 'on']);
  } finally {
    await database.query(`alter database ${name} reset synchronous_commit`);
    await careless.end();
  }
});

test.each([
  ['by COPY', columns],
  ['by arrays', [...columns.slice(0, 1), { name: 'x', type: 'bigint' }, ...columns.slice(2)] as Column[]],
])('a rehearsal %s fails as an insert would, and leaves nothing', async (_way, of) => {
  const records = makeRecords(2);
  await store.rehearse(of, records);
  await store.rehearse(of, Buffer.alloc(0));
  await database.query('alter table predictions add constraint refusing check (n < 2) not valid');
  expect((await failure(store.rehearse(of, records))).kind).toBe('refused');
  await database.query('alter table predictions rename n to m');
  expect((await failure(store.rehearse(of, records))).kind).toBe('blocked');
  await database.query('alter table predictions rename m to n');
  expect(await stored()).toEqual([]);
});

test.each([
  ['22003', 'refused'],
  ['23503', 'refused'],
  ['44000', 'refused'],
  ['54000', 'refused'],
  ['P0001', 'refused'],
  ['21000', 'refused'],
  ['23505', 'duplicate'],
  ['57014', 'slow'],
  ['08006', 'unavailable'],
  ['53100', 'unavailable'],
  ['57P01', 'unavailable'],
  ['25006', 'unavailable'],
  ['28P01', 'unavailable'],
  ['3D000', 'unavailable'],
  ['ECONNREFUSED', 'unavailable'],
  [undefined, 'unavailable'],
  ['0A000', 'blocked'],
  ['40P01', 'blocked'],
  ['42501', 'blocked'],
  ['42P01', 'blocked'],
  ['55P03', 'blocked'],
  ['58030', 'blocked'],
  ['XX001', 'blocked'],
])('an error with the code %s is %s', (code, kind) => {
  expect(failureOf(Object.assign(new Error('some'), { code }))).toBe(kind);
});
