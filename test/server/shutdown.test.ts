import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { articleRow, type PredictAnswer } from '../support/requests.ts';
import { startServer } from '../support/server.ts';

let database: TestDatabase;
let directories: ServerDirectories;
beforeAll(async () => {
  database = await createTestDatabase();
  directories = await makeDirectories();
});
afterAll(async () => {
  await database.drop();
  await directories.remove();
});

const body = JSON.stringify(articleRow);

/** One request over the agent's kept connection; the answer, or the error with whether any byte could have been sent. */
function send(url: string, agent: Agent): Promise<{ status?: number; id?: string; refused?: boolean; error?: string }> {
  return new Promise((resolve) => {
    const sent = request(`${url}/predict`, {
      method: 'POST',
      agent,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    });
    sent.on('response', (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => {
        const { prediction_id } = JSON.parse(text) as PredictAnswer;
        resolve({ status: response.statusCode!, id: prediction_id });
      });
    });
    sent.on('error', (error: NodeJS.ErrnoException) =>
      // A new connection that the listener has not accepted when it closes is reset by the kernel: refused, a little later.
      resolve({
        refused: error.code === 'ECONNREFUSED' || (error.code === 'ECONNRESET' && !sent.reusedSocket),
        error: String(error.code),
      }),
    );
    sent.end(body);
  });
}

test('ends under load without a failed request, stores every answer, and exits with 0', async () => {
  const server = await startServer({ DATABASE_URL: database.url, DRAIN_SECONDS: '1' }, directories);
  const ids: string[] = [];
  const failures: unknown[] = [];
  let stopped = false;
  const callers = Array.from({ length: 16 }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!stopped) {
      const answer = await send(server.url, agent);
      if (answer.refused) break;
      if (answer.status === 200) ids.push(answer.id!);
      else failures.push(answer);
    }
    agent.destroy();
  });
  await eventually(async () => ids.length > 100);
  const readiness = fetchUntilNotReady(server.url);
  expect(await server.stop('SIGTERM')).toBe(0);
  stopped = true;
  await Promise.all(callers);
  expect(failures).toEqual([]);
  expect(await readiness).toBe(503);
  const [{ count }] = (await database.query('select count(*) from predictions where id = any($1::uuid[])', [ids])) as [
    { count: string },
  ];
  expect(Number(count)).toBe(ids.length);
});

async function fetchUntilNotReady(url: string): Promise<number> {
  let status = 0;
  while (status !== 503) {
    status = await fetch(`${url}/readyz`).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 0) break;
  }
  return status;
}

test('ends at once and loses nothing on a second signal', async () => {
  // Long enough for the second one to come in between.
  const server = await startServer({ DATABASE_URL: database.url, DRAIN_SECONDS: '5' }, directories);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { id } = await send(server.url, agent);
  server.process.kill('SIGTERM');
  await delay(700);
  expect(await server.stop('SIGTERM')).toBe(1);
  agent.destroy();
  const successor = await startServer({ DATABASE_URL: database.url }, directories);
  expect(await successor.stop()).toBe(0);
  expect(await database.query('select 1 from predictions where id = $1', [id])).toHaveLength(1);
});
