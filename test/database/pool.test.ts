import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrate } from '../../src/database/migrate.ts';
import { checkServerVersion, createClient, createPool } from '../../src/database/pool.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/** What PgBouncer takes with the first message of a connection, unless it is told to ignore more. */
const TAKEN = ['user', 'database', 'client_encoding', 'application_name', 'datestyle', 'timezone', 'replication'];

/** Stands for PgBouncer, which npm does not bring: refuses a connection that begins with other parameters than those. */
function startStrictProxy(target: URL): Server {
  return createServer((client) => {
    client.on('error', () => undefined);
    client.once('data', (first) => {
      const parameters = first
        .subarray(8)
        .toString('latin1')
        .split('\0')
        .filter((_, index) => index % 2 === 0);
      const refused = parameters.find((name) => name !== '' && !TAKEN.includes(name));
      if (refused) return client.end(errorMessage('08P01', `unsupported startup parameter: ${refused}`));
      const upstream = connect(Number(target.port), target.hostname);
      upstream.on('error', () => client.destroy());
      upstream.write(first);
      client.pipe(upstream).pipe(client);
      return undefined;
    });
  });
}

/** ErrorResponse of the protocol: 'E', its length, then fields that begin with a letter and end with a zero byte. */
function errorMessage(sqlstate: string, message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C${sqlstate}\0M${message}\0\0`);
  const head = Buffer.from('E\0\0\0\0');
  head.writeUInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

describe('connections', () => {
  let database: TestDatabase;
  let proxy: Server;
  let url: string;
  beforeAll(async () => {
    database = await createTestDatabase({ migrated: false });
    proxy = startStrictProxy(new URL(database.url)).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    url = Object.assign(new URL(database.url), { port: (proxy.address() as { port: number }).port }).href;
  });
  afterAll(async () => {
    proxy.close();
    await database.drop();
  });

  const limits = `select current_setting('statement_timeout') as statement, current_setting('application_name') as name,
    current_setting('idle_in_transaction_session_timeout') as idle`;
  const expected = { statement: '15s', idle: '1min', name: 'ridgeline' };

  test('have their limits, through a proxy that takes none at the start of a connection', async () => {
    await migrate(url);
    const client = createClient(url);
    await client.connect();
    expect((await client.query(limits)).rows).toEqual([expected]);
    await client.end();
    const pool = createPool({ url, onError: () => undefined, max: 2 });
    const both = await Promise.all([pool.query(limits), pool.query(limits)]);
    expect(both.map(({ rows }) => rows[0])).toEqual([expected, expected]);
    await pool.end();
  });

  test('read numbers to the last bit and texts as they are, whatever a database is set to', async () => {
    const name = new URL(database.url).pathname.slice(1);
    await database.query(`alter database ${name} set extra_float_digits = -5`);
    await database.query(`alter database ${name} set standard_conforming_strings = off`);
    const pool = createPool({ url: database.url, onError: () => undefined, max: 1 });
    const { rows } = await pool.query("select 0.12345678901234566::float8 as number, 'a\\tb' as text");
    await pool.end();
    await database.query(`alter database ${name} reset all`);
    expect(rows).toEqual([{ number: 0.12345678901234566, text: 'a\\tb' }]);
  });

  test('are refused for good with what the proxy has to be told, when the URL itself brings more', async () => {
    const more = Object.assign(new URL(url), { search: 'sslmode=disable&options=-c%20search_path%3Dpublic' });
    await expect(migrate(more.href)).rejects.toMatchObject({
      code: 'database_setup',
      message: expect.stringMatching(
        /unsupported startup parameter: options\. .*ignore_startup_parameters of PgBouncer/,
      ),
    });
  });
});

test.each([
  ['140018', false],
  ['150000', true],
  ['180001', true],
])('server_version_num %s is new enough: %s', async (version, isEnough) => {
  const client = { query: async () => ({ rows: [{ server_version_num: version }] }) } as never;
  const checked = checkServerVersion(client).then(
    () => 'taken',
    (error: Error) => error.message,
  );
  expect(await checked).toMatch(isEnough ? /^taken$/ : /PostgreSQL 14 is too old; .*version 15 or newer/);
});
