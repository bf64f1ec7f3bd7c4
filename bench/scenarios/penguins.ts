/**
 * Rows of another contract, seven features of which three are texts and some are missing, against the housing that ships:
 * two services, each with a database of its own on the same server, in turns.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Papa from 'papaparse';
import { Client } from 'pg';
import { projectRoot } from '../../src/project-root.ts';
import { type Bench, inTurns } from '../environment.ts';
import { postRequest } from '../http-client.ts';
import { closedLoop, openLoop } from '../load.ts';
import { figure, format, median, quantile, type Row, ratios } from '../report.ts';
import { batchRequests, type Request, singleRequests } from '../requests.ts';
import {
  productionEnvironment,
  residentMegabytes,
  script,
  startProcess,
  startService,
  type Target,
} from '../targets.ts';

const FILE = 'examples/penguins.csv';
const TARGET = 'body_mass_g';
const BATCH_ROWS = 1000;
const BUSY_CONNECTIONS = 4;
const DRAIN_LIMIT_MS = 60_000;

type Penguin = Record<string, string | number | null>;

const penguins = readPenguins();

export async function ownData(bench: Bench): Promise<Row[]> {
  const { plan } = bench;
  const houses = await bench.startService();
  const { service, drained, close } = await startPenguins(bench);
  try {
    const sides = {
      houses: sideOf(houses, singleRequests, batchRequests(BATCH_ROWS)),
      penguins: sideOf(service, ...requests()),
    };
    for (const { target, single, batches } of Object.values(sides)) {
      await closedLoop(target, single, { connections: BUSY_CONNECTIONS, seconds: plan.warmUpSeconds });
      await closedLoop(target, batches, { connections: BUSY_CONNECTIONS, seconds: plan.warmUpSeconds });
    }
    const wait = { houses: async () => void (await bench.drained()), penguins: drained };
    const names = ['houses', 'penguins'] as const;
    const turns = (work: (name: (typeof names)[number]) => Promise<number>) =>
      inTurns(2 * plan.rounds, { houses: () => work('houses'), penguins: () => work('penguins') });

    const alone = await turns(async (name) => {
      await wait[name]();
      const { target, single } = sides[name];
      return quantile((await closedLoop(target, single, { connections: 1, seconds: plan.seconds })).latencies, 0.5);
    });
    const stored = await turns(async (name) => {
      await wait[name]();
      const { target, batches } = sides[name];
      const startedAt = performance.now();
      await closedLoop(target, batches, { connections: BUSY_CONNECTIONS, seconds: plan.seconds });
      const rows = target.answeredRows;
      await wait[name]();
      return rows / ((performance.now() - startedAt) / 1000);
    });
    return [
      figure("penguins: 1,000 rows stored, of housing's", ratios(stored.penguins, stored.houses), {
        unit: 'x',
        atLeast: 0.7,
        note: `${format(median(stored.penguins), '/s')} against ${format(median(stored.houses), '/s')}`,
      }),
      figure("penguins: median latency of one connection, of housing's", ratios(alone.penguins, alone.houses), {
        unit: 'x',
        atMost: 1.3,
        note: `${format(median(alone.penguins), 'ms')} against ${format(median(alone.houses), 'ms')}`,
      }),
    ];
  } finally {
    await close();
  }
}

const MINUTES = 10;
const ROWS_A_BATCH = 1000;
const BATCHES_A_SECOND = 10;

/** Ten thousand texts a second that no pipeline knows, each of them new: what is kept of them would be a leak. */
export async function unknownTexts(bench: Bench): Promise<Row[]> {
  const minutes = bench.plan.quick ? 3 : MINUTES;
  const { service, drained, close } = await startPenguins(bench);
  try {
    let number = 0;
    const resident: number[] = [];
    for (let minute = 1; minute <= minutes; minute++) {
      for (let second = 0; second < 60; second++) {
        const requests = Array.from({ length: BATCHES_A_SECOND }, () =>
          toBatch(
            Array.from({ length: ROWS_A_BATCH }, (_, i) => ({
              ...penguins[i % penguins.length]!,
              island: `island ${number++}`,
            })),
          ),
        );
        await openLoop(service, requests, { rate: BATCHES_A_SECOND, seconds: 1, connections: BUSY_CONNECTIONS });
      }
      await drained();
      resident.push(residentMegabytes(service.pid));
    }
    const growth = resident.at(-1)! - resident[1]!;
    const note = `resident after each minute: ${resident.map((value) => format(value, 'MB')).join(', ')}`;
    return [
      figure(`10,000 unknown texts a second: RSS in minute ${minutes}, above minute 2`, [growth], {
        unit: 'MB',
        atMost: 16.8,
        note,
      }),
    ];
  } finally {
    await close();
  }
}

interface Side {
  target: Target;
  single: readonly Request[];
  batches: readonly Request[];
}

const sideOf = (target: Target, single: readonly Request[], batches: readonly Request[]): Side => ({
  target,
  single,
  batches,
});

function requests(): [single: Request[], batches: Request[]] {
  const single = penguins.map((penguin, row) => ({
    bytes: postRequest('/predict', JSON.stringify(penguin)),
    houses: [row],
  }));
  const batches = [0, 70, 140, 210, 280].map((first) =>
    toBatch(Array.from({ length: BATCH_ROWS }, (_, i) => penguins[(first + i) % penguins.length]!)),
  );
  return [single, batches];
}

function toBatch(instances: readonly Penguin[]): Request {
  return {
    bytes: postRequest('/predict/batch', JSON.stringify({ instances })),
    houses: instances.map((_, row) => row),
  };
}

/** A service of penguins with a database of its own, and what waits until all that it has answered is stored. */
async function startPenguins({ query, settings, place }: Bench) {
  await query('create database bench_penguins');
  const url = Object.assign(new URL(settings.DATABASE_URL), { pathname: '/bench_penguins' }).href;
  const own = { ...settings, DATABASE_URL: url, MODELS_DIR: join(place.root, 'penguins') };
  const file = join(projectRoot, FILE);
  const train = startProcess(
    [...script('scripts/train.js'), '--json', '--data', file, '--target', TARGET],
    productionEnvironment(own),
    place,
  );
  if ((await train.ended) !== 0) throw new Error(`The training failed:\n${train.output()}`);
  const service = await startService(own, place, isPlausible);
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return {
    service,
    async drained(): Promise<void> {
      for (const deadline = Date.now() + DRAIN_LIMIT_MS; ; await delay(50)) {
        const found = Number((await client.query('select count(*) from predictions')).rows[0].count);
        if (found === service.answeredRows) break;
        if (found > service.answeredRows || Date.now() > deadline) {
          throw new Error(`${service.answeredRows} penguins were answered, but ${found} are stored.`);
        }
      }
      await client.query('truncate predictions');
      service.answeredRows = 0;
    },
    async close(): Promise<void> {
      await service.stop();
      await client.end();
      await query('drop database bench_penguins');
    },
  };
}

/** Whether as many masses came as were asked for, none of which is absurd; parity is the business of tests. */
function isPlausible(body: string, rows: readonly number[]): boolean {
  const answer = JSON.parse(body) as { prediction: number; predictions?: number[] };
  const given = answer.predictions ?? [answer.prediction];
  return given.length === rows.length && given.every((mass) => mass > 1000 && mass < 10_000);
}

function readPenguins(): Penguin[] {
  const text = readFileSync(join(projectRoot, FILE), 'utf8');
  const { data } = Papa.parse<Record<string, string>>(text, { header: true, skipEmptyLines: true });
  // As in the training: what has no mass is left out, and with it the rows that lack their measures.
  return data
    .filter(({ [TARGET]: mass }) => mass !== 'NA')
    .map(({ [TARGET]: _mass, ...features }) =>
      Object.fromEntries(Object.entries(features).map(([name, cell]) => [name, readCell(cell)])),
    );
}

function readCell(cell: string): string | number | null {
  if (cell === '' || cell === 'NA') return null;
  return Number.isNaN(Number(cell)) ? cell : Number(cell);
}
