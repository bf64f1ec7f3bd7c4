/** Labels sent to the real process: with workers, on either port, and what is counted of them. */
import { Client } from 'pg';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { scrape } from '../support/metrics.ts';
import { post } from '../support/requests.ts';
import { startServer } from '../support/server.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test.each([
  { WORKERS: '1', GROUND_TRUTH: 'public' },
  { WORKERS: '2', GROUND_TRUTH: 'public' },
  { WORKERS: '2', GROUND_TRUTH: 'admin' },
])('are stored and counted, whichever process takes them: %o', async (settings) => {
  const directories = await makeDirectories();
  const server = await startServer({ DATABASE_URL: database.url, ADMIN_PORT: '0', ...settings }, directories);
  try {
    const [url, otherUrl] =
      settings.GROUND_TRUTH === 'public' ? [server.url, server.adminUrl!] : [server.adminUrl!, server.url];
    const ids = Array.from({ length: 12 }, () => v7());
    for (const [i, prediction_id] of ids.entries()) {
      // Each on a connection of its own, so that every worker gets some.
      const response = await post(`${url}/ground-truth`, { prediction_id, actual: i }, { connection: 'close' });
      expect([response.status, await response.json()]).toEqual([202, { result: 'pending' }]);
    }
    expect((await post(`${otherUrl}/ground-truth`, { prediction_id: ids[0], actual: 1 })).status).toBe(404);
    const stored = await database.query<{ actual: number }>(
      'select actual from ground_truth where prediction_id = any($1) order by actual',
      [ids],
    );
    expect(stored.map(({ actual }) => actual)).toEqual(ids.map((_, i) => i));
    const { sum } = await scrape(server.adminUrl!);
    expect(sum('ridgeline_ground_truth_labels_total', '"pending"')).toBe(12);
    expect(sum('ridgeline_ground_truth_labels_total')).toBe(12);
    expect(await server.stop()).toBe(0);
  } finally {
    await server.stop('SIGKILL');
    await directories.remove();
  }
});

test.each(['1', '2'])('that wait for Postgres hold up no end of %s processes', async (WORKERS) => {
  const directories = await makeDirectories();
  const settings = { DATABASE_URL: database.url, WORKERS, ADMIN_PORT: '0', GROUND_TRUTH: 'admin' };
  const server = await startServer(settings, directories);
  const locker = new Client({ connectionString: database.url });
  try {
    await locker.connect();
    await locker.query('begin; lock table ground_truth in exclusive mode');
    const label = { prediction_id: v7(), actual: 1 };
    const asked = Array.from({ length: 6 }, () =>
      post(`${server.adminUrl}/ground-truth`, label).then(
        ({ status }) => status,
        () => 'broken',
      ),
    );
    await eventually(async () => {
      const waiting = await database.query(
        `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
      );
      return waiting.length >= 4;
    });
    expect(await server.stop()).toBe(0);
    expect(server.logs().filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
    for (const outcome of await Promise.all(asked)) expect(['broken', 503]).toContain(outcome);
  } finally {
    await locker.end();
    await server.stop('SIGKILL');
    await directories.remove();
  }
});

test('a start in production ends where labels are for a port for operators that there is not', async () => {
  const directories = await makeDirectories();
  const settings = { DATABASE_URL: database.url, NODE_ENV: 'production', GROUND_TRUTH: 'admin', ADMIN_PORT: '' };
  await expect(startServer(settings, directories)).rejects.toThrow(
    'GROUND_TRUTH: expected ADMIN_PORT to be set as well, or public or off',
  );
  await directories.remove();
});
