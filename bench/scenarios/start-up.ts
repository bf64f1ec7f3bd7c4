/** From the start of the process to its first prediction, polled without pause. */
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openConnection } from '../connection.ts';
import { startProcess } from '../processes.ts';
import { singleQuestions } from '../questions.ts';
import { figure, type Row } from '../report.ts';
import type { Bench } from '../surroundings.ts';
import { productionEnvironment, serverScript } from '../targets.ts';

const START_LIMIT_MS = 30_000;

export async function startUp(bench: Bench): Promise<Row[]> {
  const times = bench.plan.rounds;
  const withDatabase: number[] = [];
  for (let i = 0; i < times; i++) {
    const dataDir = await makeDirectory(bench);
    const settings = { DATABASE_URL: bench.databaseUrl, MODELS_DIR: join(bench.root, 'models'), DATA_DIR: dataDir };
    withDatabase.push(await millisecondsToFirstAnswer(bench, settings));
    bench.countAnswered(1);
  }

  const dataDir = await makeDirectory(bench);
  const embedded = { DATA_DIR: dataDir, MODELS_DIR: join(dataDir, 'models') };
  const first = await millisecondsToFirstAnswer(bench, embedded);
  const again: number[] = [];
  for (let i = 0; i < Math.ceil(times / 2); i++) again.push(await millisecondsToFirstAnswer(bench, embedded));
  return [
    figure('spawn to first 200, database there', withDatabase, { unit: 'ms', atMost: 500 }),
    figure('spawn to first 200, embedded database, second start', again, { unit: 'ms', atMost: 1500 }),
    figure('spawn to first 200, embedded database, very first start', [first], {
      unit: 'ms',
      note: 'makes the database cluster, migrates, trains',
    }),
  ];
}

async function makeDirectory(bench: Bench): Promise<string> {
  const directory = join(bench.root, `start-${randomUUID()}`);
  await mkdir(directory);
  return directory;
}

/** Starts the service, waits for a 200 of POST /predict, ends the service. */
async function millisecondsToFirstAnswer(bench: Bench, settings: Record<string, string>): Promise<number> {
  const port = await freePort();
  const startedAt = performance.now();
  const started = startProcess([process.execPath, serverScript], {
    core: bench.cores.measured,
    env: productionEnvironment({ ...settings, PORT: String(port) }),
    outputFile: join(bench.root, `start-${port}.log`),
  });
  try {
    while (!(await answers(`http://127.0.0.1:${port}`))) {
      if (started.hasEnded() || performance.now() - startedAt > START_LIMIT_MS) {
        throw new Error(`The service gives no prediction:\n${started.output()}`);
      }
      await delay(1);
    }
    return performance.now() - startedAt;
  } finally {
    await started.stop();
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const connection = await openConnection(url);
    const { status } = await connection.ask(singleQuestions[0]!.request).finally(() => connection.close());
    return status === 200;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
