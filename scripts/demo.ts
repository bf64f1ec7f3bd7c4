/**
 * npm run demo: the whole loop in two minutes, on a clock that runs faster. A service with a database of its own, in a directory
 * that is removed at the end; nothing of yours is touched.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { createApp } from '../src/app.ts';
import { createSimulatedClock } from '../src/clock.ts';
import { createClosers } from '../src/closers.ts';
import { loadConfig } from '../src/config.ts';
import { createPool } from '../src/database/pool.ts';
import { removeEmbeddedPostgres } from '../src/embedded-postgres/embedded-postgres.ts';
import { reasonOf } from '../src/errors.ts';
import { loadHousingDataset } from '../src/housing/dataset.ts';
import { housing } from '../src/housing/features.ts';
import { openDatabase } from '../src/process/open-database.ts';
import { prepareDatabase } from '../src/process/prepare.ts';
import { endInOrder } from '../src/process/shutdown.ts';
import { readCommandLine } from './command-line.ts';
import { type Period, percent, type Story, tellStory } from './demo-story.ts';
import { createWorld } from './demo-world.ts';
import { table } from './text-table.ts';

readCommandLine({ name: 'demo', usage: 'Usage: npm run demo', options: {} });

const START = new Date('2027-03-01T00:00:00Z');
const DAYS = 18;
const CHANGES_AFTER_DAY = 3;
const CALLERS_AN_HOUR = 20;
const GRACE_SECONDS = 10;

const log = pino({ level: 'silent' });
const closers = createClosers();
const ending = endInOrder({ closers, graceSeconds: GRACE_SECONDS, drainSeconds: 0, log });

async function startService() {
  const directory = await mkdtemp(join(tmpdir(), 'ridgeline-demo-'));
  const [dataDir, modelsDir] = [join(directory, 'data'), join(directory, 'models')];
  closers.push(async () => {
    await removeEmbeddedPostgres(dataDir);
    await rm(directory, { recursive: true, force: true });
  });
  // Of the settings of this machine none counts.
  const config = loadConfig({ DATA_DIR: dataDir, MODELS_DIR: modelsDir, PORT: '0', MODEL_POLL_SECONDS: '1' });
  const opening = openDatabase({ databaseUrl: undefined, dataDir, signal: ending.signal });
  const { url: databaseUrl } = await closers.open(opening, (database) => database.close());
  const clock = createSimulatedClock(START);
  await prepareDatabase(databaseUrl, { modelsDir, clock, onProgress: () => undefined });
  const spoolRoot = join(dataDir, 'spool');
  const app = await closers.open(
    createApp({ config, databaseUrl, spoolRoot, clock, log, droppedLines: () => 0 }),
    (one, withinMs) => one.close(withinMs),
  );
  const url = await app.http.listen({ host: '127.0.0.1', port: 0 });
  const pool = createPool({ url: databaseUrl, onError: () => undefined, max: 2 });
  closers.push(() => pool.end());
  return { url, pool, clock, modelsDir };
}

function summary({ before, changing, after, withoutLearning, trainings, looks, ...counts }: Story): string {
  const { alarms, answered, stored, truths } = counts;
  const line = (name: string, { rmse, covered }: Period) => [name, rmse.toFixed(2), percent(covered)];
  const periods = [
    line('before', before),
    line('while rooms became dear', changing),
    line('at the end', after),
    ['at the end, without learning', withoutLearning.toFixed(2), '-'],
  ];
  const told = (counts: Record<string, number>) =>
    Object.entries(counts)
      .map(([decision, times]) => `${times} ${decision}`)
      .join(', ');
  return [
    table(['', 'RMSE', '90 % intervals hold'], periods, 1),
    '',
    `Nightly trainings: ${told(trainings)}; looks at challengers: ${told(looks)}.`,
    `Alarms: ${alarms.join(', ')}. ${answered} predictions answered, ${stored} stored; ${truths} truths told.`,
  ].join('\n');
}

try {
  console.log('A service of its own starts, with a database that is removed at the end.\n');
  const service = await startService();
  const shipped = { contract: housing, dataset: loadHousingDataset };
  const changesFrom = new Date(START.getTime() + CHANGES_AFTER_DAY * 24 * 3_600_000);
  const world = createWorld({ seed: 1, contract: housing, dataset: loadHousingDataset(), changesFrom });
  const story = await tellStory({
    ...{ ...service, shipped, world, callersAnHour: CALLERS_AN_HOUR, days: DAYS, changesAfterDay: CHANGES_AFTER_DAY },
    say: console.log,
  });
  console.log(`\n${summary(story)}`);
} catch (error) {
  if (!ending.signal.aborted) {
    console.error(`The demo has ended early. ${reasonOf(error)}`);
    process.exitCode = 1;
  }
}
await closers.closeAll(GRACE_SECONDS * 1000, (error) => console.error(`Something is left. ${reasonOf(error)}`));
process.exit();
