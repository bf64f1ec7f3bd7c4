import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { runner } from 'node-pg-migrate';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrate } from '../src/database/migrate.ts';
import { housing } from '../src/housing/features.ts';
import { createTestDatabase, type TestDatabase } from './support/database.ts';

const root = join(import.meta.dirname, '..');

/**
 * The rooms from the lowest level to the highest: a room may import from lower levels, never from its own or above.
 * A file that lies in src/ itself is a room of its own.
 */
const levels = [
  ['env-file', 'database-url'],
  ['setting-names'],
  [
    'agreement',
    'closers',
    'config',
    'disk-advice',
    'errors',
    'feature-schema',
    'health',
    'line-sink',
    'runtime',
    'within',
  ],
  ['log', 'outage'],
  ['estimators', 'onnx', 'database', 'embedded-postgres'],
  ['inference', 'registry', 'prediction-log'],
  ['serving', 'training'],
  ['retraining', 'http'],
  ['housing'],
  ['process'],
  ['app'],
  ['server'],
  ['scripts'],
];
/** Who composes the house and may know the data set by name. */
const composition = ['process', 'app', 'server', 'scripts'];

interface Import {
  /** The importing file, from the root, such as src/app.ts. */
  from: string;
  /** A file from the root, or the name of a package or of a module of Node. */
  to: string;
}

const files = ['src', 'scripts'].flatMap((directory) =>
  readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .map((file) => join(directory, file).split(sep).join('/')),
);
const sources = new Map(files.map((file) => [file, readFileSync(join(root, file), 'utf8')]));

/** What an import or a re-export ends in, on one line or on the last of several; or a dynamic import. */
const statement =
  /^(?:import\b(?:[^'"\n]*\bfrom)?|export\b[^'"\n]*\bfrom|\} from)\s*['"]([^'"\n]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;

const imports: Import[] = files.flatMap((from) => {
  const found = sources.get(from)!.matchAll(statement);
  return Array.from(found, ([, stated, dynamic]) => ({ from, to: resolve(from, (stated ?? dynamic)!) }));
});

function resolve(from: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier;
  return relative(root, join(root, dirname(from), specifier))
    .split(sep)
    .join('/');
}

/** src/http/routes/predict.ts is in http, src/app.ts is app, scripts/train.ts is in scripts. */
function roomOf(file: string): string {
  const [top, room] = file.split('/');
  return top === 'scripts' ? top : room!.replace(/\.ts$/, '');
}

const levelOf = (file: string) => levels.findIndex((rooms) => rooms.includes(roomOf(file)));
const isOurs = (to: string) => to.startsWith('src/') || to.startsWith('scripts/');
const packageOf = (to: string) =>
  to
    .split('/')
    .slice(0, to.startsWith('@') ? 2 : 1)
    .join('/');
const show = ({ from, to }: Import) => `${from} imports ${to}`;

/** The files that import one of these packages. */
function importersOf(...packages: string[]): string[] {
  return [...new Set(imports.filter(({ to }) => packages.includes(packageOf(to))).map(({ from }) => from))];
}

describe('the source files', () => {
  test('are found, and so are their imports, types and side effects too', () => {
    expect(files).toContain('src/app.ts');
    expect(imports.length).toBeGreaterThan(files.length);
    expect(imports).toContainEqual({ from: 'src/app.ts', to: 'src/config.ts' });
    expect(imports).toContainEqual({ from: 'src/inference/onnx-session.ts', to: 'src/runtime.ts' });
    expect(imports).toContainEqual({ from: 'src/http/routes/predict.ts', to: 'src/feature-schema.ts' });
    for (const { to } of imports.filter((one) => isOurs(one.to))) expect(files).toContain(to);
  });

  test('all lie in a room that the plan of the house knows', () => {
    expect(files.filter((file) => levelOf(file) === -1)).toEqual([]);
  });

  test('have names that say what is in them: no utils, no helpers, no index', () => {
    expect(files.filter((file) => /(^|\/)(utils?|helpers?|index|common|misc|shared)(\.ts|\/)/.test(file))).toEqual([]);
  });
});

describe('imports', () => {
  test('run one way: from a room to lower ones, and not to its neighbours', () => {
    const wrong = imports.filter(
      ({ from, to }) => isOurs(to) && roomOf(from) !== roomOf(to) && levelOf(to) >= levelOf(from),
    );
    expect(wrong.map(show)).toEqual([]);
  });

  test('make no cycle', () => {
    const cycles: string[] = [];
    const done = new Set<string>();
    function visit(file: string, path: string[]): void {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      if (done.has(file) || path.includes(file)) return;
      for (const { to } of imports.filter(({ from }) => from === file)) if (isOurs(to)) visit(to, [...path, file]);
      done.add(file);
    }
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test('of src/housing are in the composition alone', () => {
    const knowing = imports.filter(({ from, to }) => to.startsWith('src/housing/') && roomOf(from) !== 'housing');
    expect(knowing.length).toBeGreaterThan(0);
    expect(knowing.filter(({ from }) => !composition.includes(roomOf(from))).map(show)).toEqual([]);
  });

  test('name the file with its ending, and no directory', () => {
    for (const { to } of imports.filter((one) => isOurs(one.to))) expect(to).toMatch(/\.ts$/);
  });
});

describe('one place alone knows', () => {
  test('fastify: http/ and app.ts', () => {
    const knowing = importersOf('fastify', 'fastify-type-provider-zod', '@fastify/swagger', '@fastify/swagger-ui');
    expect(knowing).toContain('src/app.ts');
    expect(knowing.filter((file) => file !== 'src/app.ts' && roomOf(file) !== 'http')).toEqual([]);
  });

  test('pg: database/ and embedded-postgres/; COPY streams: the owner of the table', () => {
    expect(new Set(importersOf('pg', 'node-pg-migrate').map(roomOf))).toEqual(
      new Set(['database', 'embedded-postgres']),
    );
    expect(importersOf('pg-copy-streams')).toEqual(['src/prediction-log/postgres/predictions-table.ts']);
  });

  test('pg-connection-string: database-url.ts', () => {
    expect(importersOf('pg-connection-string')).toEqual(['src/database-url.ts']);
  });

  test('onnxruntime-node: inference/onnx-session.ts', () => {
    expect(importersOf('onnxruntime-node')).toEqual(['src/inference/onnx-session.ts']);
  });

  test('process.env: config.ts, and runtime.ts for what a library reads', () => {
    const knowing = files.filter((file) =>
      /process\.env|\{[^}]*\benv\b[^}]*\} = process|import.*\benv\b.*'node:process'/.test(sources.get(file)!),
    );
    expect(knowing.sort()).toEqual(['src/config.ts', 'src/runtime.ts']);
  });
});

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
    for (const { is_nullable } of columns) expect(is_nullable).toBe('NO');
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

  test('have a partition of `predictions` for this month, the next three, and what has no month', async () => {
    const rows = await database.query<{ name: string }>(
      `select relname as name from pg_class where relispartition and relkind = 'r' order by 1`,
    );
    const months = await database.query<{ name: string }>(
      `select to_char(date_trunc('month', now() at time zone 'UTC') + make_interval(months => i), '"predictions_"YYYY_MM') as name
       from generate_series(0, 3) as i order by 1`,
    );
    expect(rows).toEqual([...months, { name: 'predictions_default' }]);
  });

  test('are gone when every migration is undone, and the same when it is done again', async () => {
    const fresh = await createTestDatabase({ migrated: false });
    const names = await migrate(fresh.url);
    expect(names).toHaveLength(readdirSync(join(root, 'migrations')).length);
    const before = await schemaOf(fresh);

    const client = new Client({ connectionString: fresh.url });
    await client.connect();
    const undone = await runner({
      dbClient: client,
      dir: join(root, 'migrations'),
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
