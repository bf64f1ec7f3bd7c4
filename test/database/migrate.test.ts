import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { parse } from 'node:path';
import { runner } from 'node-pg-migrate';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { withAdvisoryLock } from '../../src/database/advisory-lock.ts';
import { migrate } from '../../src/database/migrate.ts';
import { createPool } from '../../src/database/pool.ts';
import { reasonOf } from '../../src/errors.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
const clients: Client[] = [];
const run = randomBytes(4).toString('hex');
const [a, b] = [`a_${run}`, `b_${run}`];

beforeAll(async () => {
  database = await createTestDatabase({ migrated: false });
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.end();
});
afterAll(async () => {
  await database.drop();
  const server = await createTestDatabase({ migrated: false });
  for (const role of [a, b, `c_${run}`]) await server.query(`drop role if exists ${role}`);
  await server.drop();
});

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  clients.push(client);
  await client.connect();
  return client;
}

/** The URL of the same database with something of it changed. */
function url(change: (url: URL) => void, of = database): string {
  const changed = new URL(of.url);
  change(changed);
  return changed.href;
}

const as = (role: string, of = database) =>
  url((changed) => {
    changed.username = role;
    changed.password = 'p';
  }, of);
const searching = (path: string, of = database) =>
  url((changed) => changed.searchParams.set('options', `-c search_path=${path}`), of);

async function failure(migration: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await migration.then(
    () => expect.fail('it should have failed'),
    (thrown: { code: string }) => thrown,
  );
  expect(reasonOf(error)).not.toMatch(/\n|\.[jt]s:\d+/);
  return { code: error.code, message: reasonOf(error) };
}

describe('the schema of an installation', () => {
  const schemasOf = (table: string) =>
    database.query<{ schema: string }>(`select schemaname as schema from pg_tables where tablename = $1 order by 1`, [
      table,
    ]);

  test('is that of its role, without any right on `public`, and two live in one database', async () => {
    for (const role of [a, b]) {
      await database.query(`create role ${role} login password 'p'`);
      await database.query(`create schema ${role} authorization ${role}`);
      await database.query(`alter role ${role} set search_path = ${role}, public`);
    }
    await database.query('revoke create on schema public from public');
    expect(await migrate(as(a))).not.toEqual([]);
    expect(await migrate(as(b))).not.toEqual([]);
    expect(await migrate(as(a))).toEqual([]);
    for (const table of ['ml_pipeline', 'predictions', 'predictions_default', 'schema_migrations']) {
      expect(await schemasOf(table), table).toEqual([{ schema: a }, { schema: b }]);
    }
    const partitions = await database.query(
      `select schemaname, count(*)::int from pg_tables where tablename ~ '^predictions_[0-9]' group by 1 order by 1`,
    );
    expect(partitions).toEqual([a, b].map((schemaname) => ({ schemaname, count: 4 })));
  });

  test('is the first one that exists of the search path which DATABASE_URL gives', async () => {
    await database.query('create schema other');
    expect(await migrate(searching('absent,other'))).not.toEqual([]);
    expect(await migrate(searching('other'))).toEqual([]);
    expect(await schemasOf('schema_migrations')).toContainEqual({ schema: 'other' });
  });

  test('is begun afresh before an installation in `public`, whose tables are not taken for its own', async () => {
    expect(await migrate(database.url)).not.toEqual([]);
    await database.query('create schema fresh');
    const pool = createPool({ url: searching('fresh,public'), onError: () => undefined });
    await expect(pool.query('select from ml_pipeline')).rejects.toMatchObject({ code: '42P01' });
    expect(await migrate(searching('fresh,public'))).not.toEqual([]);
    expect((await pool.query("select 'predictions'::regclass::text as name")).rows).toEqual([{ name: 'predictions' }]);
    await pool.end();
    expect(await migrate(database.url)).toEqual([]);
  });

  test('keeps its locks to itself', async () => {
    const held = await withAdvisoryLock(as(a), 'some_lock', { wait: false }, async () => {
      const again = await withAdvisoryLock(as(a), 'some_lock', { wait: false }, async () => 'taken');
      const beside = await withAdvisoryLock(as(b), 'some_lock', { wait: false }, async () => 'taken');
      return { again, beside };
    });
    expect(held).toEqual({ again: undefined, beside: 'taken' });
  });
});

describe('a migration that cannot be done says what to do', () => {
  test('when no schema of the search path exists', async () => {
    const { code, message } = await failure(migrate(searching('nowhere')));
    expect(code).toBe('database_setup');
    expect(message).toMatch(/search path \(nowhere\).*create schema ridgeline authorization "/);
  });

  test('in statements that can be run as they stand, whatever the names', async () => {
    const odd = await createTestDatabase({ migrated: false });
    const role = `The "role" of ${run}`;
    const quoted = `"${role.replaceAll('"', '""')}"`;
    await odd.query(`create role ${quoted} login password 'p'`);
    await odd.query(`alter role ${quoted} set search_path = nowhere`);
    const to = url((changed) => Object.assign(changed, { username: encodeURIComponent(role), password: 'p' }), odd);
    const { message } = await failure(migrate(to));
    const statements = /such as (create schema .*), and name it: (alter role .*)\.$/.exec(message)!.slice(1);
    for (const statement of statements) await odd.query(statement);
    expect(await migrate(to)).not.toEqual([]);
    await odd.query(`drop owned by ${quoted} cascade`);
    await odd.query(`drop role ${quoted}`);
    await odd.drop();
  });

  test('when the role may not create tables', async () => {
    await database.query('create schema closed');
    await database.query(`grant usage on schema closed to ${a}`);
    await database.query(`create role c_${run} login password 'p'`);
    await database.query(`grant usage on schema closed to c_${run}`);
    await database.query(`alter role c_${run} set search_path = closed`);
    const { code, message } = await failure(migrate(as(`c_${run}`)));
    expect(code).toBe('database_setup');
    expect(message).toContain(`grant create on schema "closed" to "c_${run}"`);
  });

  test('when the table of migrations is another program’s', async () => {
    await database.query('create schema rails');
    await database.query('create table rails.schema_migrations (version text primary key)');
    const { code, message } = await failure(migrate(searching('rails')));
    expect(code).toBe('database_setup');
    expect(message).toMatch(/"rails".*another program.*schema of its own/i);
  });

  test('when the tables belong to somebody else', async () => {
    await database.query('create schema theirs');
    await migrate(searching('theirs'));
    await database.query(`grant all on schema theirs to ${a}`);
    await database.query(`alter role ${a} set search_path = theirs`);
    const { code, message } = await failure(migrate(as(a)));
    expect(code).toBe('database_setup');
    expect(message).toMatch(/permission denied.*Migrate as the owner/i);
    await database.query(`alter role ${a} set search_path = ${a}`);
  });

  test('while the database is read only, which is an outage', async () => {
    const readOnly = url((changed) => changed.searchParams.set('options', '-c default_transaction_read_only=on'));
    expect(await migrate(readOnly)).toEqual([]);
    const empty = await createTestDatabase({ migrated: false });
    const { code, message } = await failure(
      migrate(url((changed) => changed.searchParams.set('options', '-c default_transaction_read_only=on'), empty)),
    );
    expect(code).toBe('database_unreachable');
    expect(message).toContain('read-only transaction');
    await empty.drop();
  });
});

describe('an installation of an earlier version', () => {
  const migrations = readdirSync('migrations').map((file) => parse(file).name);
  const migrationsFrom = (name: string) => migrations.slice(migrations.indexOf(name));

  /** Undoes this migration and those after it. */
  async function goBackBefore(name: string, of: TestDatabase): Promise<void> {
    const dbClient = await connect(of.url);
    const count = migrationsFrom(name).length;
    await runner({
      ...{ dbClient, dir: 'migrations', direction: 'down', count },
      ...{ migrationsTable: 'schema_migrations', log: () => undefined },
    });
  }

  test('is not waited for when a session holds a lock, and is brought up to date once it lets go', async () => {
    const old = await createTestDatabase();
    await goBackBefore('0004_partitions', old);
    // Its check has lost its backslashes, so that the table has to be locked.
    await old.query('alter table ml_pipeline drop constraint ml_pipeline_pipeline_version_check');
    await old.query(
      "alter table ml_pipeline add constraint ml_pipeline_pipeline_version_check check (pipeline_version ~ '^d{4}')",
    );
    const reader = await connect(old.url);
    await reader.query('begin; select from ml_pipeline');
    const held = await failure(migrate(old.url));
    expect(held.code).toBe('database_unreachable');
    expect(held.message).toMatch(/lock timeout.*end that session's transaction/);
    expect(await old.query('select from schema_migrations')).toHaveLength(3);
    // Nobody is left waiting behind it.
    await old.query('set lock_timeout = 1; update ml_pipeline set metrics = metrics');

    const patient = migrate(old.url, { retryForMs: 30_000 });
    await reader.query('commit');
    expect(await patient).toEqual(migrationsFrom('0004_partitions'));
    const [check] = await old.query<{ is: string }>(
      `select pg_get_constraintdef(oid) as is from pg_constraint where conname = 'ml_pipeline_pipeline_version_check'`,
    );
    expect(check!.is).toContain('[0-9]{4}_');
    await old.drop();
  });

  test('lets rows of other contracts in beside those that are there, also where a column is gone by now', async () => {
    const old = await createTestDatabase();
    await goBackBefore('0005_contracts', old);
    await old.query(`insert into predictions
      select gen_random_uuid(), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 24, '2026_11_22__16_08_52', now()`);
    const insertOther = () =>
      old.query(`insert into predictions (id, prediction, pipeline_version, created_at)
        values (gen_random_uuid(), 1, '2026_11_22__16_08_52', now())`);
    await expect(insertOther()).rejects.toThrow(/not-null/);
    await old.query('alter table predictions drop column lstat');
    expect(await migrate(old.url)).toEqual(migrationsFrom('0005_contracts'));
    await insertOther();
    expect(await old.query('select crim, rad::integer, prediction from predictions order by prediction')).toEqual([
      { crim: null, rad: null, prediction: 1 },
      { crim: 1, rad: 9, prediction: 24 },
    ]);
    await old.drop();
  });

  test('has its promotions told apart by who made them; its servers promote and record trainings as before', async () => {
    const old = await createTestDatabase();
    await goBackBefore('0006_promotions', old);
    const version = '2026_11_22__16_08_52';
    await old.query(
      `insert into ml_pipeline (pipeline_version, artefact, sha256, hyperparameters, metrics, data_sha256, code_sha256,
         golden_rows, feature_profile)
       values ('${version}', 'x', repeat('a', 64), '{}', '{"rows": 506}', repeat('a', 64), repeat('a', 64), '{}', '{}')`,
    );
    const promote = (by: string) =>
      old.query(
        `insert into ml_pipeline_promotion (pipeline_version, promoted_by, reason) values ('${version}', $1, '')`,
        [by],
      );
    const record = (minute: number) =>
      old.query(
        `insert into retraining (slot, outcome, pipeline_version) values (to_timestamp(60 * ${minute}), 'published', '${version}')`,
      );
    for (const by of ['start', 'train', 'schedule', 'me']) await promote(by);
    await record(1);
    expect(await migrate(old.url)).toEqual(migrationsFrom('0006_promotions'));
    await promote('train');
    await record(2);
    expect(await old.query('select promoted_by, action from ml_pipeline_promotion order by promotion_id')).toEqual([
      { promoted_by: 'start', action: 'train' },
      { promoted_by: 'train', action: 'train' },
      { promoted_by: 'schedule', action: 'schedule' },
      { promoted_by: 'me', action: 'hand' },
      { promoted_by: 'train', action: 'hand' },
    ]);
    await expect(old.query("update ml_pipeline_promotion set action = 'guess'")).rejects.toThrow(/action_check/);

    await old.query("update retraining set outcome = 'promoted' where slot = to_timestamp(60)");
    await old.query("update retraining set outcome = 'held' where slot = to_timestamp(120)");
    await goBackBefore('0006_promotions', old);
    expect(await old.query('select outcome from retraining order by slot')).toEqual([
      { outcome: 'published' },
      { outcome: 'failed' },
    ]);
    await old.drop();
  });

  test('waits for another process that migrates, and then finds it done', async () => {
    const fresh = await createTestDatabase({ migrated: false });
    const applied = await Promise.all(Array.from({ length: 4 }, () => migrate(fresh.url)));
    expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
    await fresh.drop();
  });
});

test('standard_conforming_strings = off changes nothing', async () => {
  const odd = await createTestDatabase({ migrated: false });
  await odd.query(`alter database ${new URL(odd.url).pathname.slice(1)} set standard_conforming_strings = off`);
  await migrate(odd.url);
  const [check] = await odd.query<{ fits: boolean }>(
    `select '2026_11_22__17_57_15' ~ substring(pg_get_constraintdef(oid) from '''(.*)''') as fits
     from pg_constraint where conname = 'ml_pipeline_pipeline_version_check'`,
  );
  expect(check).toEqual({ fits: true });
  await odd.drop();
});
