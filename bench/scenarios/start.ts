/** From the start of the process to its first prediction, and the whole training command on the 506 rows. */
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../src/free-port.ts';
import type { Bench } from '../environment.ts';
import { openConnection } from '../http-client.ts';
import { figure, type Row } from '../report.ts';
import { singleRequests } from '../requests.ts';
import { productionEnvironment, script, startProcess } from '../targets.ts';

const START_LIMIT_MS = 30_000;

export async function start(bench: Bench): Promise<Row[]> {
  const times = 2 * bench.plan.rounds;
  const training: number[] = [];
  for (let i = 0; i < times; i++) training.push((await bench.train()).seconds);
  const there: number[] = [];
  for (let i = 0; i < times; i++) {
    there.push(await millisecondsToFirstAnswer(bench, { ...bench.settings, DATA_DIR: makeDirectory(bench) }));
    bench.countAnswered(1);
  }
  const dataDir = makeDirectory(bench);
  const embedded = { DATA_DIR: dataDir, MODELS_DIR: join(dataDir, 'models') };
  const first = await millisecondsToFirstAnswer(bench, embedded);
  const again: number[] = [];
  for (let i = 0; i < bench.plan.rounds; i++) again.push(await millisecondsToFirstAnswer(bench, embedded));
  const note = 'makes the database cluster, migrates, trains';
  return [
    figure('spawn to first 200, database there', there, { unit: 'ms', atMost: 500 }),
    figure('spawn to first 200, embedded database, second start', again, { unit: 'ms', atMost: 1500 }),
    figure('spawn to first 200, embedded database, very first start', [first], { unit: 'ms', note }),
    figure('training: 506 rows, whole command', training, { unit: 's', atMost: 1 }),
  ];
}

function makeDirectory({ place }: Bench): string {
  const directory = join(place.root, `start-${randomUUID()}`);
  mkdirSync(directory);
  return directory;
}

/** Starts the service, polls POST /predict without pause until it answers 200, ends the service. */
async function millisecondsToFirstAnswer({ place }: Bench, settings: Record<string, string>): Promise<number> {
  const port = await freePort();
  const startedAt = performance.now();
  const env = productionEnvironment({ ...settings, PORT: String(port) });
  const started = startProcess(script('src/server.js'), env, place);
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
    return (await connection.ask(singleRequests[0]!.bytes).finally(() => connection.close())).status === 200;
  } catch {
    return false;
  }
}
