/** The workers of a service, each of which may be slow to start, or die at any moment. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { makeDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { articleRow, post } from '../support/requests.ts';
import { childEnvironment, entryPoint } from '../support/server.ts';
import { workersOf } from '../support/workers.ts';

test('the free port of PORT=0 is one for all, also when the first dies before the second listens', async () => {
  const database = await createTestDatabase();
  const directories = await makeDirectories();
  const env = childEnvironment({ DATABASE_URL: database.url, PORT: '0', ADMIN_PORT: '0', WORKERS: '2' }, directories);
  const server = spawn(process.execPath, [entryPoint], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  onTestFinished(async () => {
    const exited = once(server, 'exit');
    server.kill('SIGKILL');
    await exited;
    await database.drop();
    await directories.remove();
  });
  let output = '';
  server.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const logged = async (line: string) =>
    eventually(async () => {
      const found = output.split('\n').find((one) => one.startsWith('{') && one.includes(`"msg":"${line}"`));
      return found === undefined
        ? undefined
        : (JSON.parse(found) as { url: string; adminUrl: string; workerPid: number });
    }, 30_000);

  const { workerPid: first } = await logged('a worker listens');
  const second = await eventually(async () => workersOf(server).find((pid) => pid !== first));
  process.kill(second, 'SIGSTOP');
  const { url, adminUrl } = await logged('listening');
  process.kill(first, 'SIGKILL');
  await logged('a worker has died; another one starts');
  process.kill(second, 'SIGCONT');

  // Nobody is sent to it while nobody listens.
  await eventually(async () => (await fetch(`${adminUrl}/readyz`)).status === 200);
  expect((await post(`${url}/predict`, articleRow)).status).toBe(200);
  await eventually(async () => output.split('"msg":"a worker listens"').length > 3);
  process.kill(second, 'SIGKILL');
  await eventually(async () => (await post(`${url}/predict`, articleRow)).status === 200);
});
