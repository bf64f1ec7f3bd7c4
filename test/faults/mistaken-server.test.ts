/** A postmaster.pid that is left over and names another PostgreSQL: that one must not notice, and ours must start. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { openDatabase } from '../../src/process/open-database.ts';
import { makeDirectories, makeDirectory } from '../support/directory.ts';
import { startServer } from '../support/server.ts';
import { inForm } from './form.ts';
import { runLoad } from './load.ts';
import { reportFault } from './report.ts';
import { compareWithStored, expectNothingLost } from './verification.ts';

const LOAD_MS = inForm(1_000, 10_000);
const CONNECTIONS = 4;

async function ask<Row>(url: string, text: string, values?: unknown[]): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return (await client.query(text, values).finally(() => client.end())).rows as Row[];
}

test.for(['word for word', 'with our own directory in it'])('a stale postmaster.pid, %s', async (how, context) => {
  const directories = await makeDirectories();
  const elsewhere = await makeDirectory('elsewhere');
  const other = await openDatabase({ databaseUrl: undefined, dataDir: elsewhere });
  context.onTestFinished(async () => {
    await other.close();
    await rm(elsewhere, { recursive: true });
    await directories.remove();
  });
  await ask(other.url, 'create table kept as select 1 as number');

  // Ours has lived before, and was killed.
  await (await openDatabase({ databaseUrl: undefined, dataDir: directories.dataDir })).close();
  const said = await readFile(join(elsewhere, 'postgres', 'postmaster.pid'), 'utf8');
  const stale = how === 'word for word' ? said : said.replace(elsewhere, directories.dataDir);
  await writeFile(join(directories.dataDir, 'postgres', 'postmaster.pid'), stale);

  const server = await startServer({ PREDICTION_LOG: 'sync' }, directories);
  context.onTestFinished(async () => void (await server.stop('SIGKILL')));
  const load = await runLoad({ url: server.url, connections: CONNECTIONS }, LOAD_MS);
  const ours = await openDatabase({ databaseUrl: undefined, dataDir: directories.dataDir });
  const stored = await compareWithStored({ query: (text, values) => ask(ours.url, text, values) }, load.answers);
  await ours.close();
  expect(await server.stop()).toBe(0);
  reportFault({
    fault: `a stale postmaster.pid of another PostgreSQL, ${how} (sync)`,
    load: `${CONNECTIONS} connections, closed loop`,
    requests: load.requests(),
    failures: load.failures.length,
    stored,
  });
  expect(load.failures.slice(0, 3)).toEqual([]);
  expectNothingLost(stored);
  // The other one has noticed nothing: same process, no table of ours, its own there.
  expect(await readFile(join(elsewhere, 'postgres', 'postmaster.pid'), 'utf8')).toBe(said);
  const tables = await ask(other.url, "select tablename from pg_tables where schemaname = 'public'");
  expect(tables).toEqual([{ tablename: 'kept' }]);
});
