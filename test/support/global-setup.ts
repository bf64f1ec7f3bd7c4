/** One real PostgreSQL for the whole run: the server at DATABASE_URL, or an embedded one in a temporary directory. */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { Client } from 'pg';
import type { TestProject } from 'vitest/node';
import { migrate } from '../../src/database/migrate.ts';
import { openDatabase } from '../../src/process/open-database.ts';
import { makeDirectory } from './directory.ts';

declare module 'vitest' {
  interface ProvidedContext {
    postgresUrl: string;
    /** The name of a database that is migrated and otherwise empty, and that nobody is connected to: to be copied. */
    migratedDatabase: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await makeDirectory('test');
  const databaseUrl = process.env.DATABASE_URL || undefined;
  const database = await openDatabase({ databaseUrl, dataDir });
  // Only the one that is thrown away afterwards: hundreds of databases are made in it and dropped.
  if (databaseUrl === undefined) await execute(database.url, 'alter system set fsync = off', 'select pg_reload_conf()');
  const migratedDatabase = `test_migrated_${randomBytes(6).toString('hex')}`;
  await execute(database.url, `create database ${migratedDatabase}`);
  await migrate(Object.assign(new URL(database.url), { pathname: `/${migratedDatabase}` }).href);
  project.provide('postgresUrl', database.url);
  project.provide('migratedDatabase', migratedDatabase);
  return async () => {
    await execute(database.url, `drop database ${migratedDatabase}`);
    await database.close();
    await rm(dataDir, { recursive: true, force: true });
  };
}

async function execute(url: string, ...statements: string[]): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}
