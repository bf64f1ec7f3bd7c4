/**
 * Brings the schema up to date with the numbered SQL files in migrations/, each applied once, under an advisory lock.
 *
 * All of ours, the table of migrations included, is in the first schema of the connection's search path. No migration
 * waits for a lock longer than two seconds, as statements behind it would wait too: it gives up, changes nothing, and its
 * caller tries again.
 */
import { readdir } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { escapeIdentifier } from 'pg';
import { RidgelineError, reasonOf } from '../errors.ts';
import { projectRoot } from '../project-root.ts';
import { LOCK_KEY } from './advisory-lock.ts';
import { connectionFailure } from './connection-failure.ts';
import { type Client, checkServerVersion, createClient, describeUrl } from './pool.ts';

const DIRECTORY = join(projectRoot, 'migrations');
const TABLE = 'schema_migrations';
const LOCK = 'ridgeline_migrations';
/** For another process that migrates: its migrations take less than a second, unless they wait too. */
const WAIT_FOR_PROCESS = '10s';
const WAIT_FOR_LOCK = '2s';
const AGAIN_MS = 2_000;

/** Where our tables are or will be. */
interface Home {
  schema: string;
  role: string;
  mayCreate: boolean;
}

/**
 * Applies what is missing, all or nothing, and returns the names of the migrations that it applied. Several processes
 * at once wait for each other. Throws `database_unreachable` when it may be done later, which includes a lock that
 * another session holds (tried again for `retryForMs` first), or `database_setup` when the server refuses us.
 */
export async function migrate(url: string, { retryForMs = 0 } = {}): Promise<string[]> {
  for (const giveUp = Date.now() + retryForMs; ; await delay(AGAIN_MS)) {
    try {
      return await migrateOnce(url);
    } catch (error) {
      const isHeldUp = codeOf((error as RidgelineError).cause) === '55P03';
      if (!isHeldUp || Date.now() + AGAIN_MS > giveUp) throw error;
    }
  }
}

async function migrateOnce(url: string): Promise<string[]> {
  const client = createClient(url);
  // A broken connection rejects the query under way, which is where it is reported.
  client.on('error', () => undefined);
  let home: Home | undefined;
  try {
    await client.connect();
    await checkServerVersion(client);
    home = await findHome(client);
    if (await isUpToDate(client, home.schema)) return [];
    return await applyMissing(client, home);
  } catch (error) {
    throw explained(url, error, home);
  } finally {
    await client.end();
  }
}

async function findHome(client: Client): Promise<Home> {
  const { rows } = await client.query(
    `select current_schema() as schema, current_user as role, current_setting('search_path') as path,
       has_schema_privilege(current_schema(), 'create') as may_create`,
  );
  const { schema, role, path, may_create } = rows[0];
  if (schema !== null) return { schema, role, mayCreate: may_create };
  const quoted = escapeIdentifier(role);
  throw new RidgelineError('database_setup', {
    detail:
      `No schema of the search path (${path}) exists and may be used by the role ${quoted}. Create one, such as ` +
      `create schema ridgeline authorization ${quoted}, and name it: alter role ${quoted} set search_path = ridgeline.`,
  });
}

/** Whether each migration is in the table; newer ones may be as well, when a newer version runs beside us. */
async function isUpToDate(client: Client, schema: string): Promise<boolean> {
  const table = `${client.escapeIdentifier(schema)}.${TABLE}`;
  const { rows: tables } = await client.query('select to_regclass($1) as found', [table]);
  if (tables[0].found === null) return false;
  const { rows } = await client.query(`select name from ${table}`);
  const applied = new Set(rows.map(({ name }) => name));
  return (await readdir(DIRECTORY)).every((file) => applied.has(parse(file).name));
}

async function applyMissing(client: Client, { schema, role, mayCreate }: Home): Promise<string[]> {
  if (!mayCreate) {
    const to = escapeIdentifier(role);
    throw new RidgelineError('database_setup', {
      detail: `The role ${to} may not create tables: grant create on schema ${escapeIdentifier(schema)} to ${to}.`,
    });
  }
  await client.query(`set lock_timeout = '${WAIT_FOR_PROCESS}'; set standard_conforming_strings = on`);
  await client.query(`select pg_advisory_lock(${LOCK_KEY})`, [LOCK]);
  await client.query(`set lock_timeout = '${WAIT_FOR_LOCK}'`);
  // The library throws errors of its own in place of some of the server's, with its stack for a message.
  let failure: unknown;
  const query = (text: string, values?: unknown[]) =>
    client.query(text, values).catch((error: unknown) => {
      failure ??= error;
      throw error;
    });
  // Loaded here, as nearly every start finds nothing to apply: decision 0010.
  const { runner } = await import('node-pg-migrate');
  const applied = await runner({
    dbClient: { query } as unknown as Client,
    dir: DIRECTORY,
    direction: 'up',
    schema,
    migrationsSchema: schema,
    migrationsTable: TABLE,
    singleTransaction: true,
    noLock: true,
    log: () => undefined,
  }).catch((error: unknown) => {
    throw failure ?? error;
  });
  return applied.map(({ name }) => name);
}

const codeOf = (error: unknown) => (error as { code?: string } | undefined)?.code;

/** What to do about an error of a migration, by what the server said. */
function explained(url: string, cause: unknown, home: Home | undefined): RidgelineError {
  if (cause instanceof RidgelineError || home === undefined) return connectionFailure(url, cause);
  const [schema, role] = [escapeIdentifier(home.schema), escapeIdentifier(home.role)];
  const what = `The schema ${schema} at ${describeUrl(url)} cannot be brought up to date: ${reasonOf(cause)}.`;
  const code = codeOf(cause) ?? '';
  if (code === '55P03') {
    const detail = `${what} Another session holds a lock on it, see pg_stat_activity: end that session's transaction.`;
    return new RidgelineError('database_unreachable', { detail, cause });
  }
  if (code === '42501') {
    const detail = `${what} Migrate as the owner of the tables, or grant to ${role} what it lacks.`;
    return new RidgelineError('database_setup', { detail, cause });
  }
  // Something of the name is there that no migration of ours has made, or the library found other migrations in its table.
  if (/^42/.test(code) || (code === '' && /preceding already run/.test(reasonOf(cause)))) {
    const detail =
      `${what} Another program, or another version, has made tables of these names there. Give Ridgeline a schema ` +
      `of its own: create schema ridgeline authorization ${role}, and name it in the search path of the role.`;
    return new RidgelineError('database_setup', { detail, cause });
  }
  return connectionFailure(url, cause);
}
