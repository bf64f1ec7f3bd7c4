import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { articleAnswer, articleRow, type PredictAnswer, post } from '../support/requests.ts';
import { childEnvironment, entryPoint, startServer } from '../support/server.ts';

const run = promisify(execFile);
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function directories(): Promise<ServerDirectories> {
  const made = await makeDirectories();
  cleanups.push(made.remove);
  return made;
}

/** Starts the server with settings it should refuse; returns its exit code and what it printed. */
async function failToStart(settings: Record<string, string>): Promise<{ code: number; output: string }> {
  const env = childEnvironment(settings, await directories());
  const child = spawn(process.execPath, [entryPoint], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, output };
}

describe('without DATABASE_URL', () => {
  test('starts from nothing with a database of its own, stops it again, and finds its data at the second start', async () => {
    const where = await directories();
    const first = await startServer({}, where);
    cleanups.push(() => first.stop('SIGKILL'));
    // It is printed after the line by which startServer knows that the server listens.
    const curl = await eventually(async () => /^ {2}(curl .*)$/m.exec(first.output())?.[1]);
    expect(first.output()).toContain(`${first.url}/docs`);
    const { stdout } = await run('sh', ['-c', curl]);
    const answer = JSON.parse(stdout) as PredictAnswer;
    expect(Math.abs(answer.prediction - articleAnswer)).toBeLessThan(1e-7);
    expect(first.output()).toContain(answer.model_version);
    const pidFile = join(where.dataDir, 'postgres', 'postmaster.pid');
    expect(existsSync(pidFile)).toBe(true);
    expect(await first.stop('SIGINT')).toBe(0);
    expect(existsSync(pidFile)).toBe(false);

    const second = await startServer({}, where);
    cleanups.push(() => second.stop('SIGKILL'));
    const again = (await (await post(`${second.url}/predict`, articleRow)).json()) as PredictAnswer;
    expect(again.model_version).toBe(answer.model_version);
    expect(await second.stop('SIGINT')).toBe(0);
  });
});

describe('a start that cannot succeed says why in one message', () => {
  test('names every wrong setting with its valid values', async () => {
    const { code, output } = await failToStart({ PORT: 'x', LOG_LEVEL: 'loud', RETRAIN_CRON: '99 * * * *' });
    expect(code).toBe(1);
    for (const text of ['PORT: expected', 'LOG_LEVEL: expected', 'RETRAIN_CRON: expected'])
      expect(output).toContain(text);
    expect(output).not.toMatch(/^\s+at /m);
  });

  test.each(['1', '2'])('tells that the port is in use, with %s workers', async (workers) => {
    const database = await createTestDatabase();
    cleanups.push(database.drop);
    const squatter = createServer().listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const { port } = squatter.address() as { port: number };
    const { code, output } = await failToStart({ DATABASE_URL: database.url, PORT: String(port), WORKERS: workers });
    squatter.close();
    expect(code).toBe(1);
    expect(output.match(RegExp(`Port ${port} on 127.0.0.1 is in use`, 'g'))).toHaveLength(1);
    expect(output).not.toMatch(/^\s+at /m);
  });

  test('tells that HOST is no address of this machine', async () => {
    const database = await createTestDatabase();
    cleanups.push(database.drop);
    const { code, output } = await failToStart({ DATABASE_URL: database.url, HOST: '192.0.2.1' });
    expect(code).toBe(1);
    expect(output).toContain('HOST is 192.0.2.1, which is no address of this machine');
    expect(output).not.toMatch(/^\s+at /m);
  });

  test('tells that the database refuses the login, without the password', async () => {
    const url = new URL(inject('postgresUrl'));
    url.username = 'nobody_here';
    url.password = 'hunter2';
    const { code, output } = await failToStart({ DATABASE_URL: url.href });
    expect(code).toBe(1);
    expect(output).toContain('DATABASE_URL');
    expect(output).not.toContain('hunter2');
  });
});

test('has the warnings of Node and of libraries in its log, as standard error may have no reader', async () => {
  const database = await createTestDatabase();
  cleanups.push(database.drop);
  const warning = "data:text/javascript,process.on('SIGUSR2',()=>process.emitWarning('something old is used'))";
  const settings = { DATABASE_URL: database.url, NODE_OPTIONS: `--import ${warning.replaceAll(' ', '%20')}` };
  const server = await startServer(settings, await directories());
  cleanups.push(() => server.stop('SIGKILL'));
  server.process.kill('SIGUSR2');
  const found = await eventually(async () => server.logs().find(({ msg }) => msg === 'something old is used'));
  expect(found).toMatchObject({ level: 'warn', name: 'Warning' });
  expect(server.output()).not.toMatch(/^\(node/m);
});
