/** Brings the schema up to date with the numbered SQL files in migrations/, each applied once, under an advisory lock. */
import { readdir } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { projectRoot } from '../config.ts';
import { type Client, checkServerVersion, connectionFailure, createClient } from './pool.ts';

const DIRECTORY = join(projectRoot, 'migrations');
const TABLE = 'schema_migrations';

/**
 * Applies what is missing, all or nothing, and returns the names of the migrations that it applied. Several processes
 * at once wait for each other. Throws `database_unreachable`, or `database_setup` when
 * the server refuses us or is too old.
 */
export async function migrate(url: string): Promise<string[]> {
  const client = createClient(url);
  // A broken connection rejects the query under way, which is where it is reported.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await checkServerVersion(client);
    if (await isUpToDate(client)) return [];
    // Not at the top: nearly every start finds nothing to apply, and would wait 50 ms for the library to load.
    const { runner } = await import('node-pg-migrate');
    const applied = await runner({
      dbClient: client,
      dir: DIRECTORY,
      direction: 'up',
      migrationsTable: TABLE,
      advisoryLockMode: 'wait',
      log: () => undefined,
    });
    return applied.map(({ name }) => name);
  } catch (error) {
    throw connectionFailure(url, error);
  } finally {
    await client.end();
  }
}

async function isUpToDate(client: Client): Promise<boolean> {
  const { rows: tables } = await client.query('select to_regclass($1) as found', [TABLE]);
  if (tables[0].found === null) return false;
  const { rows } = await client.query(`select name from ${TABLE}`);
  const applied = new Set(rows.map(({ name }) => name));
  return (await readdir(DIRECTORY)).every((file) => applied.has(parse(file).name));
}
