import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { createClient, describeUrl } from '../src/database/pool.ts';
import { normaliseDatabaseUrl, problemOfDatabaseUrl, unreadParameters } from '../src/database-url.ts';

afterEach(() => vi.restoreAllMocks());

test.each([
  ['postgres://u:p@db:5433/house', 'db:5433/house'],
  ['postgresql://db/house?sslmode=require', 'db:5432/house'],
  ['postgres:///house', 'localhost:5432/house'],
  ['postgres://u:p@/house?host=/var/run/postgresql', '/var/run/postgresql/.s.PGSQL.5432, database house'],
  ['postgres://u:p@/house?host=/cloudsql/a:b:c&port=5433', '/cloudsql/a:b:c/.s.PGSQL.5433, database house'],
  ['postgres://u:p@%2Fvar%2Frun%2Fpostgresql/house', '/var/run/postgresql/.s.PGSQL.5432, database house'],
  ['socket:/var/run/postgresql?db=house', '/var/run/postgresql/.s.PGSQL.5432, database house'],
  ['postgres://u:p%23%2F%3F%40%25@[::1]:5433/house', '::1:5433/house'],
  ['postgres://u:p@ss@db/house', 'db:5432/house'],
  ['postgres://u:100%@db/house', 'db:5432/house'],
  ['postgres://me@tenant:p@db/house?application_name=a@b', 'db:5432/house'],
  ['postgres://db/house?user=me@tenant&password=p@ss', 'db:5432/house'],
  ['postgres://db/house?sslrootcert=system', 'db:5432/house'],
])('%s can work, and is described without user and password', (url, where) => {
  expect(problemOfDatabaseUrl(url)).toBeUndefined();
  expect(describeUrl(url)).toBe(where);
});

test('a password is the same for us as for its writer, percent sign or not', () => {
  for (const [written, meant] of [
    ['p%23a%2Fb%3F', 'p#a/b?'],
    ['50%', '50%'],
    ['50%%2Fa%zz b', '50%/a%zz b'],
    ['p@ss', 'p@ss'],
    ['p+ss', 'p+ss'],
  ]) {
    expect(createClient(`postgres://u:${written}@h/d`).password).toBe(meant);
    expect(createClient(`postgres://h/d?user=u&password=${written}`).password).toBe(meant);
  }
});

test.each([
  'postgres://u:hun#ter@127.0.0.1/ridge',
  'postgres://app:S3cr@tHorse#9@127.0.0.1/ridge',
  'postgres://app:S3cr@tHorse/9@127.0.0.1/ridge',
  'postgres://app:S3cr@tHorse?9@127.0.0.1/ridge',
  'postgres://app:S3cr@tHorse/a?b=9@127.0.0.1/ridge',
  // What is left of the second one in .env without quotes.
  'postgres://app:S3cr@tHorse',
  'postgres://u:pa/ss@h/d',
  'postgres://u:12/34@h/d',
  'postgres://u:pa?ss@h/d',
  'postgres://u:12?34@h/d',
  'postgres://u:12#34@h/d',
  'postgres://h',
  'postgres://h?sslmode=disable',
  'postgres://u:p%FF@h/d',
  'postgres://h1:5432,h2:5433/d',
])('%s is told how to write a password', (url) => {
  expect(problemOfDatabaseUrl(url)).toMatch(/user:password@host:5432\/database.*# is written %23/);
});

test.each([
  ['mysql://db/house', /^a postgres:\/\/ URL, or unset/],
  ['localhost:5432', /^a postgres:\/\/ URL, or unset/],
  ['postgres:/house', /^a postgres:\/\/ URL, or unset/],
  ['postgres://h1,h2/house', /one host/],
  ['postgres://h/house?sslmode=requrie', /^sslmode to be disable, .*no-verify$/],
  ['postgres://h/house?sslnegotiation=none', /^sslnegotiation to be/],
  [
    'postgres://h/house?sslmode=verify-full&sslrootcert=/no/such/ca.crt',
    /certificate files.*ENOENT.*\/no\/such\/ca\.crt/,
  ],
  ['postgres://h/house?uselibpqcompat=true&sslmode=verify-ca', /sslrootcert=FILE/],
  ['postgres://h/house?sslmode=verify-full&sslrootcert=/', /certificate files.*EISDIR/],
  ['postgres://u:p\tw@h/house', /in one line/],
  ['postgres://u:p\nw@h/house', /in one line/],
  ['postgres://h:0/house', /a port from 1 to 65535/],
  ['postgres://h/house?port=abc', /a port from 1 to 65535/],
  ['postgres:///?host=/tmp&dbname=house', /the database as the path/],
  ['postgres://h/postgres?database=house', /the database as the path/],
  ['postgres://h/house?schema=a', /the schema as options=-c%20search_path%3DSCHEMA/],
  ['postgres://h/house?currentSchema=a', /the schema as options/],
  ['postgres://h/house?SSLMODE=verify-full', /the parameter sslmode to be written so/],
  ['postgres://h/house?ssl_mode=require', /the parameter sslmode to be written so/],
  ['postgres://h/house?applicaton_name=a', /the parameter application_name to be written so/],
  ['postgres://h/house?sslmode=verify-full&sslmode=disable', /the parameter sslmode once/],
])('%s is refused with what is wrong', (url, problem) => {
  expect(problemOfDatabaseUrl(url)).toMatch(problem);
});

test('what other drivers read and pg does not is named, and never a piece of anything else', () => {
  const url = 'postgres://u:p@h/d?sslmode=disable&channel_binding=require&connect_timeout=10';
  expect(problemOfDatabaseUrl(url)).toBeUndefined();
  expect(unreadParameters(url)).toEqual(['channel_binding', 'connect_timeout']);
  const raw = 'postgres://h/d?user=u&password=p&Hunter2';
  expect([problemOfDatabaseUrl(raw), unreadParameters(raw)]).toEqual([undefined, ['one whose name is not known']]);
  expect(unreadParameters('socket:/run/postgresql?db=house&encoding=utf8')).toEqual([]);
});

test('no part of a password is in what is said of a URL, whatever stands around it, and nothing throws', () => {
  const mark = 'Hunter';
  const around = fc.array(
    fc.constantFrom('#', '/', '?', '@', ':', '%', '&', '=', '[', ']', '\\', ' ', 'a', '1', '%2F', '%F'),
    {
      maxLength: 4,
    },
  );
  const scheme = fc.constantFrom('postgres://', 'postgresql://', 'socket:', 'postgres:', 'mysql://');
  const end = fc.constantFrom('h/d', '127.0.0.1:5432/d?sslmode=disable', '/d?host=/tmp', 'h', '');
  fc.assert(
    fc.property(scheme, around, around, end, (start, before, after, rest) => {
      const url = `${start}app:${before.join('')}${mark}${after.join('')}@${rest}`;
      const problem = problemOfDatabaseUrl(url);
      const said = problem ?? describeUrl(url);
      expect(said.toLowerCase()).not.toContain(mark.toLowerCase());
    }),
    { seed: 13, numRuns: 20_000 },
  );
});

test.each(['allow', 'prefer', 'require', 'verify-ca', 'verify-full'])(
  'sslmode=%s checks certificate and name, and prints no warning of a library',
  (mode) => {
    const emitWarning = vi.spyOn(process, 'emitWarning');
    const { ssl } = createClient(`postgres://h/d?sslmode=${mode}`) as unknown as { ssl: object };
    expect(ssl).toEqual({});
    expect(emitWarning).not.toHaveBeenCalled();
  },
);

test('the two ways to check less are left as they are', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ridgeline-ca-'));
  const file = join(directory, 'ca.crt');
  await writeFile(file, 'a certificate');
  const sslOf = (query: string) => (createClient(`postgres://h/d?${query}`) as unknown as { ssl: object }).ssl;
  expect(sslOf('sslmode=no-verify')).toEqual({ rejectUnauthorized: false });
  expect(sslOf(`uselibpqcompat=true&sslmode=verify-ca&sslrootcert=${file}`)).toMatchObject({
    ca: 'a certificate',
    checkServerIdentity: expect.any(Function),
  });
  expect(normaliseDatabaseUrl('postgres://h/d?sslrootcert=system')).toBe('postgres://h/d?sslmode=verify-full');
  await rm(directory, { recursive: true });
});
