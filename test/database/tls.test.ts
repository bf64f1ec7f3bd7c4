import { readFileSync } from 'node:fs';
import { chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrate } from '../../src/database/migrate.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded-postgres/embedded-postgres.ts';
import { RidgelineError } from '../../src/errors.ts';
import { makeDirectory } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';

/** Made by make.sh beside them: an authority that nobody knows, and what it and others have signed for one key. */
const certificates = join(import.meta.dirname, 'certificates');
const authority = join(certificates, 'authority.crt');
const names = ['self-signed', 'good', 'other-name', 'expired', 'not-yet', 'for-clients'];

describe('a server with TLS', () => {
  let directory: string;
  let server: EmbeddedPostgres;
  let admin: Client;
  let dataDirectory: string;

  beforeAll(async () => {
    directory = await makeDirectory('tls');
    server = await startEmbeddedPostgres({ dataDir: directory });
    admin = new Client({ connectionString: server.url });
    await admin.connect();
    dataDirectory = (await admin.query('show data_directory')).rows[0].data_directory;
    // By the server itself, which reads no key that is another account's.
    for (const file of ['server.key', ...names.map((name) => `${name}.crt`)]) {
      const lines = readFileSync(join(certificates, file), 'utf8')
        .trim()
        .split('\n')
        .map((line) => `('${line}')`);
      await admin.query(`copy (values ${lines.join()}) to '${dataDirectory}/${file}'`);
    }
    await chmod(join(dataDirectory, 'server.key'), 0o600);
    await admin.query(`alter system set ssl_key_file = 'server.key'`);
  });
  afterAll(async () => {
    await admin.end();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });

  /** The server shows this certificate from now on, or speaks no TLS. */
  async function show(certificate: string | undefined): Promise<void> {
    if (certificate) await admin.query(`alter system set ssl_cert_file = '${certificate}.crt'`);
    await admin.query(`alter system set ssl = ${certificate ? 'on' : 'off'}`);
    await admin.query('select pg_reload_conf()');
    const expected =
      certificate && readFileSync(join(certificates, `${certificate}.crt`), 'utf8').replace(/\s|-----[^-]+-----/g, '');
    await eventually(async () => {
      const client = new Client({ connectionString: urlWith(certificate ? 'sslmode=no-verify' : 'sslmode=disable') });
      await client.connect();
      const { stream } = (client as unknown as { connection: { stream: TLSSocket } }).connection;
      const shown = certificate && stream.getPeerCertificate().raw.toString('base64');
      const { rows } = await client.query('show ssl');
      await client.end();
      return rows[0].ssl === (certificate ? 'on' : 'off') && shown === expected;
    });
  }

  function urlWith(query: string): string {
    const url = new URL(server.url);
    url.search = query;
    return url.href;
  }

  async function failureOf(query: string): Promise<RidgelineError> {
    const error = await migrate(urlWith(query)).then(
      () => new Error('It was taken.'),
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(RidgelineError);
    return error as RidgelineError;
  }

  const trusting = `sslmode=verify-full&sslrootcert=${authority}`;

  test.each<[string, string, RegExp]>([
    ['self-signed', 'sslmode=require', /self.signed certificate.*sslrootcert=FILE.*sslmode=no-verify/],
    ['self-signed', trusting, /self.signed certificate.*sslrootcert=FILE.*sslmode=no-verify/],
    ['good', 'sslmode=verify-full', /sslrootcert=FILE.*sslmode=no-verify/],
    ['good', 'ssl=true', /sslrootcert=FILE.*sslmode=no-verify/],
    ['other-name', trusting, /does not match certificate.* Write a host in DATABASE_URL that the certificate names/],
    ['expired', trusting, /certificate has expired\. Renew the server's certificate/],
    ['not-yet', trusting, /not yet valid\. Set the clock/],
    ['for-clients', trusting, /purpose\. Replace the server's certificate/],
    ['good', `${trusting}&sslcert=${authority}&sslkey=${join(certificates, 'server.key')}`, /its sslcert and sslkey/],
  ])(
    'that shows the certificate %s is refused under %s, for good and with what to do',
    async (certificate, query, advice) => {
      await show(certificate);
      const error = await failureOf(query);
      expect(error.message).toMatch(advice);
      expect(error.code).toBe('database_setup');
      expect(error.message).not.toContain(new URL(server.url).password);
    },
  );

  test('is used with its authority, by name alone, or unchecked', async () => {
    await show('good');
    await migrate(urlWith(trusting));
    await migrate(urlWith('sslmode=no-verify'));
    await show('other-name');
    await migrate(urlWith(`uselibpqcompat=true&sslmode=verify-ca&sslrootcert=${authority}`));
  });

  test('that has none refuses whoever asks for it, for good', async () => {
    await show(undefined);
    const error = await failureOf('sslmode=require');
    expect(error.message).toMatch(/does not support SSL connections\. Turn TLS on there, or write sslmode=disable/);
    expect(error.code).toBe('database_setup');
  });
});
