import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { makeDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { articleRow } from '../support/requests.ts';
import { childEnvironment, entryPoint, startServer } from '../support/server.ts';
import { workersOf } from '../support/workers.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** The processes whose command line names this directory, but ours that look for them. */
function processesOf(directory: string): string[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n');
  return lines.filter((line) => line.includes(directory));
}

describe('a signal in any moment of a first start ends it with 0 and leaves no process', () => {
  // The lines by which a start says how far it is, and moments after them.
  const cases = [
    { line: '', after: 0, signal: 'SIGTERM', workers: '1' },
    { line: '', after: 400, signal: 'SIGINT', workers: '1' },
    { line: 'creating a database', after: 0, signal: 'SIGINT', workers: '1' },
    { line: 'creating a database', after: 400, signal: 'SIGTERM', workers: '1' },
    { line: 'starting PostgreSQL', after: 0, signal: 'SIGTERM', workers: '1' },
    { line: 'starting PostgreSQL', after: 60, signal: 'SIGINT', workers: '1' },
    { line: 'training a first', after: 0, signal: 'SIGTERM', workers: '1' },
    { line: 'training a first', after: 400, signal: 'SIGTERM', workers: '2' },
    { line: 'listening', after: 0, signal: 'SIGTERM', workers: '2' },
  ] as const;
  test.for(cases)('$signal $after ms after "$line", $workers workers', async ({ line, after, signal, workers }) => {
    const directories = await makeDirectories();
    cleanups.push(directories.remove);
    const env = childEnvironment({ WORKERS: workers }, directories);
    const child = spawn(process.execPath, [entryPoint], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    }
    const ended = once(child, 'close') as Promise<[number | null, string | null]>;
    await eventually(async () => output.includes(line) && child.pid !== undefined, 20_000);
    await delay(after);
    child.kill(signal);
    const [code, killedBy] = await ended;
    // Before anything is open, the signal itself may end it.
    if (line !== '' || killedBy === null) expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).not.toMatch(/cannot start|not ended in time|could not be closed/);
    expect(existsSync(join(directories.dataDir, 'postgres', 'postmaster.pid'))).toBe(false);
    expect(processesOf(directories.dataDir)).toEqual([]);
  });
});

describe('with workers', () => {
  test('a second signal ends them all at once', async () => {
    const database = await createTestDatabase();
    const directories = await makeDirectories();
    cleanups.push(database.drop, directories.remove);
    const settings = { DATABASE_URL: database.url, WORKERS: '2', DRAIN_SECONDS: '10' };
    const server = await startServer(settings, directories);
    const workers = workersOf(server.process);
    server.process.kill('SIGTERM');
    await delay(700);
    expect(await server.stop('SIGTERM')).toBe(1);
    await eventually(async () => !workers.some((pid) => existsSync(`/proc/${pid}`)), 2_000);
  });

  test('a primary that is killed leaves none, and what was being sent is still answered', async () => {
    const database = await createTestDatabase();
    const directories = await makeDirectories();
    cleanups.push(database.drop, directories.remove);
    const server = await startServer({ DATABASE_URL: database.url, WORKERS: '2' }, directories);
    const workers = workersOf(server.process);
    expect(workers).toHaveLength(2);
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    const body = JSON.stringify(articleRow);
    socket.write(
      `POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
    );
    await delay(200);
    await server.stop('SIGKILL');
    await delay(50);
    socket.write(body);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 200 /);
    const isAlive = (pid: number) => existsSync(`/proc/${pid}`);
    await eventually(async () => !workers.some(isAlive));
    expect(await database.query('select 1 from predictions')).toHaveLength(1);
  });
});
