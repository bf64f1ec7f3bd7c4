/** The admin port of the real process: who owns it, what it says of workers that die or fall silent, and how it ends. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { scrape } from '../support/metrics.ts';
import { articleRow, post } from '../support/requests.ts';
import { type ServerProcess, startServer } from '../support/server.ts';
import { workersOf } from '../support/workers.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(settings: Record<string, string>): Promise<ServerProcess & { adminUrl: string }> {
  const directories = await makeDirectories();
  cleanups.push(directories.remove);
  const server = await startServer({ DATABASE_URL: database.url, ADMIN_PORT: '0', ...settings }, directories);
  cleanups.push(() => server.stop('SIGKILL'));
  return { ...server, adminUrl: server.adminUrl! };
}

/** As many predictions, each on a connection of its own, so that every worker gets some. */
async function predict(url: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    expect((await post(`${url}/predict`, articleRow, { connection: 'close' })).status).toBe(200);
  }
}

const answered = async (adminUrl: string) => (await scrape(adminUrl)).sum('ridgeline_http_requests_total', '/predict"');

describe.each(['1', '2'])('with %s workers', (WORKERS) => {
  test('the start says that the port is in use, and which setting it is', async () => {
    const squatter = createServer().listen(0, '127.0.0.1');
    cleanups.push(async () => squatter.close());
    await once(squatter, 'listening');
    const { port } = squatter.address() as { port: number };
    await expect(start({ WORKERS, ADMIN_PORT: String(port) })).rejects.toThrow(
      `Port ${port} on 127.0.0.1 is in use. Stop the other program, or set ADMIN_PORT (0: any).`,
    );
  });

  test('it shows the end of what callers reach, and ends after it', async () => {
    const server = await start({ WORKERS, DRAIN_SECONDS: '1', SHUTDOWN_GRACE_SECONDS: '20' });
    await predict(server.url, 6);
    expect(await answered(server.adminUrl)).toBe(6);
    expect((await fetch(`${server.adminUrl}/readyz`)).status).toBe(200);
    const stopped = server.stop('SIGTERM');
    await eventually(async () => (await fetch(`${server.adminUrl}/readyz`)).status === 503);
    await predict(server.url, 1);
    expect(await answered(server.adminUrl)).toBe(7);
    // Whenever the public port is closed the admin port still answers, unless the process is about to end.
    const seen: boolean[] = [];
    for (let isOpen = true; isOpen; await delay(5)) {
      isOpen = await fetch(`${server.url}/livez`).then(
        () => true,
        () => false,
      );
      seen.push(
        await fetch(`${server.adminUrl}/livez`).then(
          ({ ok }) => ok,
          () => false,
        ),
      );
    }
    expect(seen.slice(0, -1)).not.toContain(false);
    expect(await stopped).toBe(0);
  });
});

describe('two workers', () => {
  test('count together; one that is killed takes nothing of the other with it, and nothing is counted twice', async () => {
    const server = await start({ WORKERS: '2' });
    await predict(server.url, 10);
    expect(await answered(server.adminUrl)).toBe(10);
    for (let round = 1; round <= 2; round++) {
      const before = workersOf(server.process);
      process.kill(before[0]!, 'SIGKILL');
      await eventually(
        async () => workersOf(server.process).length === 2 && !workersOf(server.process).includes(before[0]!),
      );
      await eventually(async () => {
        const { status } = (await (await fetch(`${server.adminUrl}/health`)).json()) as { status: string };
        return status === 'ok';
      });
      expect(await answered(server.adminUrl)).toBe(10 * round);
      await predict(server.url, 10);
      const { sum } = await scrape(server.adminUrl);
      expect(sum('ridgeline_http_requests_total', '/predict"')).toBe(10 * (round + 1));
      expect(sum('ridgeline_http_request_duration_seconds_count', '/predict"')).toBe(10 * (round + 1));
      expect(sum('ridgeline_inference_rows_total')).toBe(10 * (round + 1));
    }
  });

  test('on the public port outside production speak for each other, whichever is asked', async () => {
    const server = await start({ WORKERS: '2', ADMIN_PORT: '' });
    await predict(server.url, 6);
    for (let i = 0; i < 4; i++) expect(await answered(server.url)).toBe(6);
  });

  test('none of which answers are said to be unavailable, and what was counted is still told', async () => {
    const server = await start({ WORKERS: '2' });
    await predict(server.url, 4);
    expect(await answered(server.adminUrl)).toBe(4);
    const workers = workersOf(server.process);
    for (const pid of workers) process.kill(pid, 'SIGSTOP');
    try {
      const response = await fetch(`${server.adminUrl}/health`);
      expect(response.status).toBe(503);
      expect(await response.json()).toMatchObject({
        status: 'unavailable',
        database: 'ok',
        model: 'unavailable',
        reasons: [expect.stringContaining('No worker answers')],
        backlog: { rows: null, oldest_age_seconds: null, dead_letters: null },
      });
      expect((await fetch(`${server.adminUrl}/readyz`)).status).toBe(503);
      expect(await answered(server.adminUrl)).toBe(4);
      expect((await fetch(`${server.adminUrl}/livez`)).status).toBe(200);
    } finally {
      for (const pid of workers) process.kill(pid, 'SIGCONT');
    }
    await eventually(async () => (await fetch(`${server.adminUrl}/readyz`)).status === 200);
  });
});
