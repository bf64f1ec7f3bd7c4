/** Brings the schema up to date with the numbered SQL files in migrations/, each applied once, under an advisory lock. */
import { join } from 'node:path';
import { runner } from 'node-pg-migrate';
import { projectRoot } from '../config.ts';
import { checkServerVersion, connectionFailure, createClient } from './pool.ts';

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
    const applied = await runner({
      dbClient: client,
      dir: join(projectRoot, 'migrations'),
      direction: 'up',
      migrationsTable: 'schema_migrations',
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
