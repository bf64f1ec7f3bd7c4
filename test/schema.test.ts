import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runner } from 'node-pg-migrate';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrate } from '../src/database/migrate.ts';
import { housing } from '../src/housing/features.ts';
import { createTestDatabase, type TestDatabase } from './support/database.ts';

const migrations = join(import.meta.dirname, '../migrations');

describe('the tables', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  /** Tables of ours: not the partitions of one, and not the record of migrations. */
  const ours = `
    from pg_class as c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and c.relname <> 'schema_migrations'`;

  async function tables(of = database): Promise<string[]> {
    const rows = await of.query<{ name: string }>(`select c.relname as name ${ours} order by 1`);
    return rows.map(({ name }) => name);
  }

  /** Everything that a migration makes, as text: columns, constraints, indexes, functions, comments. */
  async function schemaOf(of: TestDatabase): Promise<unknown[]> {
    return of.query(`
      select 'column' as kind, c.relname || '.' || a.attname as name,
        format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull as detail, col_description(c.oid, a.attnum) as comment
      from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'schema_migrations'
      union all
      select 'constraint', conname, pg_get_constraintdef(oid), null from pg_constraint
      where connamespace = 'public'::regnamespace and conrelid <> 'schema_migrations'::regclass
      union all
      select 'index', indexname, indexdef, null from pg_indexes where schemaname = 'public' and tablename <> 'schema_migrations'
      union all
      select 'function', proname, pg_get_functiondef(oid), obj_description(oid, 'pg_proc') from pg_proc
      where pronamespace = 'public'::regnamespace
      order by 1, 2`);
  }

  test('hold the declared features in their order as columns of `predictions`, between the id and the answer', async () => {
    const columns = await database.query<{ column_name: string; data_type: string; is_nullable: string }>(
      `select column_name, data_type, is_nullable from information_schema.columns
       where table_schema = 'public' and table_name = 'predictions' order by ordinal_position`,
    );
    expect(columns.map(({ column_name, data_type }) => [column_name, data_type])).toEqual([
      ['id', 'uuid'],
      ...housing.features.map(({ name, kind }) => [
        name.toLowerCase(),
        kind === 'categorical' ? 'bigint' : 'double precision',
      ]),
      ['prediction', 'double precision'],
      ['pipeline_version', 'text'],
      ['created_at', 'timestamp with time zone'],
    ]);
    // Only what every prediction has must be there: the features of other contracts are in other columns.
    const features = new Set(housing.columns.map(({ name }) => name));
    for (const { column_name, is_nullable } of columns) {
      expect(is_nullable).toBe(features.has(column_name) ? 'YES' : 'NO');
    }
  });

  test('have a comment each, and so has every column', async () => {
    expect(await tables()).toEqual(expect.arrayContaining(['ml_pipeline', 'ml_pipeline_promotion', 'predictions']));
    expect(
      await database.query(`select c.relname ${ours} and coalesce(obj_description(c.oid, 'pg_class'), '') = ''`),
    ).toEqual([]);
    expect(
      await database.query(`
        select c.relname, a.attname
        from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.oid in (select c.oid ${ours}) and coalesce(col_description(c.oid, a.attnum), '') = ''`),
    ).toEqual([]);
  });

  test('have a partition of predictions and truths for this month, the next three, and what has no month', async () => {
    const rows = await database.query<{ name: string }>(
      `select relname as name from pg_class where relispartition and relkind = 'r'`,
    );
    const partitions = await database.query<{ name: string }>(
      `select parent || ending as name
       from unnest(array['predictions', 'ground_truth', 'ground_truth_revision']) as parent, (
         select to_char(date_trunc('month', now() at time zone 'UTC') + make_interval(months => i), '"_"YYYY_MM') as ending
         from generate_series(0, 3) as i
         union select '_default'
       ) as endings`,
    );
    const names = (found: { name: string }[]) => found.map(({ name }) => name).sort();
    expect(names(rows)).toEqual(names(partitions));
  });

  test('are gone when every migration is undone, and the same when it is done again', async () => {
    const fresh = await createTestDatabase({ migrated: false });
    const names = await migrate(fresh.url);
    expect(names).toHaveLength(readdirSync(migrations).length);
    const before = await schemaOf(fresh);

    const client = new Client({ connectionString: fresh.url });
    await client.connect();
    const undone = await runner({
      dbClient: client,
      dir: migrations,
      direction: 'down',
      count: Number.POSITIVE_INFINITY,
      migrationsTable: 'schema_migrations',
      log: () => undefined,
    });
    await client.end();
    expect(undone.map(({ name }) => name)).toEqual(names.toReversed());
    expect(await tables(fresh)).toEqual([]);
    expect(await schemaOf(fresh)).toEqual([]);

    expect(await migrate(fresh.url)).toEqual(names);
    expect(await schemaOf(fresh)).toEqual(before);
    expect(await migrate(fresh.url)).toEqual([]);
    await fresh.drop();
  });
});
