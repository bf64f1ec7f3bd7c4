/**
 * What a nightly training reads and costs where a million predictions are stored and each has its truth: the newest 100,000 by
 * key, against one join over all, and a whole training with the gate's test, as the command runs it.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createPool } from '../../src/database/pool.ts';
import { housing } from '../../src/housing/features.ts';
import { MOST_LABELLED, readLabelledRows } from '../../src/retraining/labelled-rows.ts';
import { type Bench, inTurns } from '../environment.ts';
import { figure, type Row } from '../report.ts';
import { script } from '../targets.ts';

const run = promisify(execFile);

const ROWS = 1_000_000;
const MONTHS = 3;
const ROUNDS = 3;

/** $1 rows in all, $2 the version. Row i is answered at the i-th of as many moments of the last three months. */
const MADE = `
  from generate_series(1, $1::int) as i,
    lateral (
      select date_trunc('milliseconds', date_trunc('day', now(), 'UTC') - (i * ${30 * MONTHS}.0 / $1) * interval '1 day') as at
    ) as moment,
    lateral (
      select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7000a000' || lpad(to_hex(i), 12, '0'))::uuid as id
    ) as key`;

/** Here PostgreSQL and the training are what is measured, on the core of this process. */
export const learning = (bench: Bench): Promise<Row[]> => bench.cores.withoutPriority(() => measure(bench));

async function measure(bench: Bench): Promise<Row[]> {
  const rows = bench.plan.quick ? ROWS / 20 : ROWS;
  const wanted = Math.min(MOST_LABELLED, rows / 10);
  await makeRows(bench, rows);
  const pool = createPool({ url: bench.settings.DATABASE_URL, onError: () => undefined, max: 1 });
  const columns = housing.columns.map(({ name }) => name).join(', ');
  const joined = `
    select ${columns}, actual from ground_truth join predictions on id = prediction_id and created_at = predicted_at
    where actual is not null order by predicted_at desc limit ${wanted}`;
  const seconds = await inTurns(bench.plan.quick ? 1 : ROUNDS, {
    byKey: () => timeOf(() => readLabelledRows(pool, { contract: housing, shipped: housing, limit: wanted })),
    joined: () => timeOf(() => bench.query(joined)),
    training: () => timeOf(() => train(bench)),
  });
  await pool.end();
  // Nobody has answered them.
  await bench.query('truncate predictions, ground_truth');
  const of = `the newest ${wanted.toLocaleString('en-US')} of ${rows.toLocaleString('en-US')} labelled rows`;
  return [
    figure(`${of}, read by key and checked`, seconds.byKey, { unit: 's' }),
    figure(`${of}, by one join, as it comes`, seconds.joined, { unit: 's' }),
    figure('a training on them with the gate, as a process', seconds.training, { unit: 's' }),
  ];
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
}

async function train({ settings }: Bench): Promise<void> {
  const [node, command] = script('scripts/train.js') as [string, string];
  const options = ['--labelled', '--promote', 'gate', '--dry-run', '--json'];
  const { stdout } = await run(node, [command, ...options], { env: { ...process.env, ...settings } });
  const { decision, metrics } = JSON.parse(stdout.trim().split('\n').at(-1)!) as {
    decision: string;
    metrics: { rows: number };
  };
  if (!['promoted', 'held', 'rejected'].includes(decision))
    throw new Error(`The gate has judged nothing: ${decision}.`);
  if (metrics.rows < 1_000) throw new Error(`It has learned from ${metrics.rows} rows.`);
}

async function makeRows({ query, pipelineVersion }: Bench, rows: number): Promise<void> {
  for (const table of ['predictions', 'ground_truth']) {
    const time = table === 'predictions' ? 'created_at' : 'predicted_at';
    for (let months = 0; months <= MONTHS; months++) {
      await query('select ensure_month_partition($1, $2, (now() - make_interval(months => $3))::date, now())', [
        ...[table, time],
        months,
      ]);
    }
  }
  await query(
    `insert into predictions (id, crim, zn, indus, chas, nox, rm, age, dis, rad, tax, ptratio, b, lstat, prediction, pipeline_version, created_at)
     select id, random(), 18, 2.31, 0, 0.538, 4 + 4 * random(), 65.2, 1 + 8 * random(), 1, 296, 15.3, 396.9, 40 * random(), 20, $2, at ${MADE}`,
    [rows, pipelineVersion],
  );
  await query(
    `insert into ground_truth (prediction_id, predicted_at, actual, observed_at, received_at, revision, prediction, pipeline_version)
     select id, at, 20 + 10 * random(), at, at + interval '1 day', 1, 20, $2 ${MADE}`,
    [rows, pipelineVersion],
  );
  await query('vacuum analyze predictions, ground_truth');
}
