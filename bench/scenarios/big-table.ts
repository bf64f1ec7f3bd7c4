/**
 * Inserting into `predictions` when it holds ten million rows, against an empty one: two databases on one server, in turns,
 * through the same COPY that the relay uses. The ten million are made by PostgreSQL itself, in order of time.
 */
import { Client } from 'pg';
import { exampleRow } from '../../src/contract/rows.ts';
import { migrate } from '../../src/database/migrate.ts';
import { createPool } from '../../src/database/pool.ts';
import { housing } from '../../src/housing/features.ts';
import { encodeRecords } from '../../src/prediction-log/postgres/copy-format.ts';
import { createPredictionsTable } from '../../src/prediction-log/postgres/predictions-table.ts';
import { blocksOf } from '../../src/prediction-log/prediction-batch.ts';
import { recordColumns } from '../../src/prediction-log/record-columns.ts';
import { createPredictionIds } from '../../src/serving/prediction-ids.ts';
import { type Bench, inTurns } from '../environment.ts';
import { figure, format, median, type Row, ratios } from '../report.ts';

const ROWS = 10_000_000;
const CHUNK_ROWS = 1_000_000;
/** What the relay copies at once. */
const COPY_ROWS = 10_000;
const COPIES = 20;
const ROUNDS = 15;

/**
 * $1 first row, $2 last row, $3 rows in all. Row i is answered at the i-th moment between the start of the month and now;
 * its id is a UUID version 7 of that moment. All lie in this month's partition, into which the measured rows go too.
 */
const GENERATE = `
insert into predictions (id, crim, zn, indus, chas, nox, rm, age, dis, rad, tax, ptratio, b, lstat, prediction,
  pipeline_version, created_at)
select (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || '7' || substr(digest, 1, 3) || 'a' ||
    substr(digest, 4, 15))::uuid,
  random(), 18, 2.31, 0, 0.538, 4 + random(), 65.2, 4.09, 1, 296, 15.3, 396.9, 40 * random(), 50 * random(),
  '2026_01_01__00_00_00', moment
from generate_series($1::bigint, $2::bigint) as i,
  lateral (select date_trunc('month', now(), 'UTC') + (now() - date_trunc('month', now(), 'UTC')) * (i::float8 / $3)
    as moment, md5(i::text) as digest) as made`;

/** Here PostgreSQL is what is measured, on the core of this process. */
export const bigTable = (bench: Bench): Promise<Row[]> => bench.cores.withoutPriority(() => compare(bench));

async function compare(bench: Bench): Promise<Row[]> {
  const total = bench.plan.quick ? ROWS / 100 : ROWS;
  const empty = await createDatabase(bench, 'bench_empty');
  const big = await createDatabase(bench, 'bench_big');
  try {
    for (let first = 1; first <= total; first += CHUNK_ROWS) {
      await big.client.query(GENERATE, [first, Math.min(total, first + CHUNK_ROWS - 1), total]);
    }
    await big.client.query('vacuum analyze predictions');
    // Before each turn what the last one has left is written: truncating drops it, so that the other alone would pay.
    const rates = await inTurns(bench.plan.quick ? 1 : ROUNDS, {
      async empty() {
        await empty.client.query('truncate predictions');
        await empty.client.query('checkpoint');
        return await empty.insertRate();
      },
      async big() {
        await big.client.query('checkpoint');
        return await big.insertRate();
      },
    });
    const note = `rows in COPYs: ${format(median(rates.big), '/s')} against ${format(median(rates.empty), '/s')}`;
    const what = `insert rate at ${total.toLocaleString('en-US')} rows, of empty`;
    return [figure(what, ratios(rates.big, rates.empty), { unit: 'x', atLeast: 0.9, note })];
  } finally {
    await empty.drop();
    await big.drop();
  }
}

async function createDatabase(bench: Bench, name: string) {
  await bench.query(`create database ${name}`);
  const url = Object.assign(new URL(bench.settings.DATABASE_URL), { pathname: `/${name}` }).href;
  await migrate(url);
  // The pools of src/ give up a statement after seconds; filling takes longer.
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  const pool = createPool({ url, onError: () => undefined, max: 1 });
  const store = createPredictionsTable(pool);
  return {
    client,
    /** Rows a second of COPYs one after the other; encoding them is not counted. */
    async insertRate(): Promise<number> {
      let milliseconds = 0;
      for (let i = 0; i < COPIES; i++) {
        const records = newRecords();
        const startedAt = performance.now();
        await store.insert(columns, records);
        milliseconds += performance.now() - startedAt;
      }
      return (COPIES * COPY_ROWS * 1000) / milliseconds;
    },
    async drop() {
      await pool.end();
      await client.end();
      await bench.query(`drop database ${name}`);
    },
  };
}

const newPredictionIds = createPredictionIds();
const columns = recordColumns(housing);
const row = housing.names.map((name) => Number(exampleRow(housing)[name]));

function newRecords(): Buffer {
  const createdAt = new Date();
  const ids = new Uint8Array(16 * COPY_ROWS);
  newPredictionIds(ids, createdAt.getTime());
  const features = Float64Array.from({ length: COPY_ROWS * row.length }, (_, i) => row[i % row.length]!);
  const predictions = Float64Array.from({ length: COPY_ROWS }, (_, i) => 20 + Math.sin(i));
  return encodeRecords(
    [blocksOf({ contract: housing, ids, features, predictions, pipelineVersion: 'bench', createdAt })],
    columns,
  );
}
