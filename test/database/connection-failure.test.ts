import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, inject, test } from 'vitest';
import { connectionFailure, isUnavailable } from '../../src/database/connection-failure.ts';
import { migrate } from '../../src/database/migrate.ts';
import { createTestDatabase } from '../support/database.ts';

const coded = (code: string, message = '') => Object.assign(new Error(message), { code });

test.each([
  ...['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'].map(
    coded0,
  ),
  // The file of a socket, before the server has made it.
  coded('ENOENT', 'connect ENOENT /tmp/.s.PGSQL.5432'),
  ...['08006', '08001', '53300', '57P01', '57P03', '58030', '25006', '40001', '55P03'].map(coded0),
  coded('08P01', 'server login has been failing, try again later (server_login_retry)'),
  coded('08P01', 'no more connections allowed (max_client_conn)'),
  coded('08P01', 'query_wait_timeout'),
  new Error('timeout expired'),
  new Error('Connection terminated unexpectedly'),
  new Error('Client has encountered a connection error and is not queryable'),
  new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')]),
])('%s %# is an outage: it may heal by itself', (error) => {
  expect(isUnavailable(error)).toBe(true);
});

test.each([
  ...[
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'CERT_HAS_EXPIRED',
    'ERR_SSL_WRONG_VERSION_NUMBER',
  ].map(coded0),
  ...['ERR_INVALID_ARG_VALUE', 'ERR_SOCKET_BAD_PORT', 'EPROTO', 'EACCES', 'EINVAL'].map(coded0),
  ...['28P01', '28000', '3D000', '42501', '3F000', '42704', '0A000', 'XX000'].map(coded0),
  coded('08P01', 'unsupported startup parameter: statement_timeout'),
  coded('08P01', 'no such database: house'),
  new Error('The server does not support SSL connections'),
  new Error('SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string'),
  new AggregateError([coded('EACCES')]),
  undefined,
])('%s %# stays until somebody changes something', (error) => {
  expect(isUnavailable(error)).toBe(false);
});

function coded0(code: string): Error {
  return coded(code, code);
}

const url = 'postgres://u:hunter2@db/house';

test.each<[Error, RegExp]>([
  [coded('ECONNREFUSED'), /Start it, or correct DATABASE_URL/],
  [coded('25006'), /name the server that does in DATABASE_URL, or turn default_transaction_read_only off/],
  [coded('53300'), /Raise max_connections/],
  [coded('57P03'), /wait/],
  [coded('ENOTFOUND'), /Correct the host in DATABASE_URL/],
  [coded('08P01', 'unsupported startup parameter: options'), /ignore_startup_parameters of PgBouncer/],
  [coded('28P01'), /user name and password in DATABASE_URL; .*# is written %23/],
  [
    coded('28000', 'no pg_hba.conf entry for host "1.2.3.4", user "u", database "d", no encryption'),
    /\?sslmode=verify-full/,
  ],
  [
    coded('28000', 'no pg_hba.conf entry for host "1.2.3.4", user "u", database "d", SSL encryption'),
    /Let pg_hba\.conf/,
  ],
  [coded('3D000'), /Create that database/],
  [coded('42501'), /grant usage, create on schema/],
  [coded('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'), /sslcert=FILE&sslkey=FILE/],
  [coded('ERR_SSL_WRONG_VERSION_NUMBER'), /check host and port/],
  [coded('CERT_REVOKED'), /Replace the server's certificate/],
  [coded('EACCES'), /enter the directory of the socket/],
  [new Error('SASL: client password must be a string'), /write one into DATABASE_URL/],
])('%s is told with what to do', (error, advice) => {
  const { message } = connectionFailure(url, error);
  expect(message).toMatch(advice);
  expect(message).toMatch(/^PostgreSQL at db:5432\/house: /);
  expect(message).not.toContain('hunter2');
});

/** What a real server says of settings that can never work. */
test.each<[string, (url: URL) => void, RegExp]>([
  ['a login', (to) => Object.assign(to, { password: 'hunter2' }), /28P01|password authentication failed.*%23/],
  ['a database', (to) => Object.assign(to, { pathname: '/no_such_database' }), /does not exist\. Create that database/],
  [
    'an option',
    (to) => Object.assign(to, { search: 'options=-c%20no_such_setting=1' }),
    /no_such_setting.*Correct `options`/,
  ],
  ['TLS', (to) => Object.assign(to, { search: 'sslmode=require' }), /does not support SSL.*sslmode=disable/],
])('a server without such %s: the reason, what to do, and no waiting', async (_, change, message) => {
  const to = new URL(inject('postgresUrl'));
  change(to);
  await expect(migrate(to.href)).rejects.toMatchObject({
    code: 'database_setup',
    message: expect.stringMatching(message),
  });
});

test('a role that may not create in its schema is told what to grant', async () => {
  const database = await createTestDatabase({ migrated: false });
  const name = `poor_${process.pid}`;
  await database.query(`create role ${name} login password 'hunter2'`);
  const to = Object.assign(new URL(database.url), { username: name, password: 'hunter2' });
  await expect(migrate(to.href)).rejects.toMatchObject({ code: 'database_setup' });
  await database.query(`drop role ${name}`);
  await database.drop();
});

test.each([
  ['a web server', ['HTTP/1.1 400 Bad Request\r\n\r\n']],
  ['what says yes to TLS and speaks none', ['S', 'HTTP/1.1 400 Bad Request\r\n\r\n']],
])('%s at the port is no outage when it is asked for TLS', async (_, answers) => {
  const server = createServer((socket) => {
    const left = [...answers];
    socket.on('data', () => socket.write(left.shift() ?? ''));
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await expect(migrate(`postgres://u:p@127.0.0.1:${port}/d?sslmode=require`)).rejects.toMatchObject({
    code: 'database_setup',
    message: expect.stringMatching(/check host and port/),
  });
  server.close();
});
