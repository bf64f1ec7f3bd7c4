/**
 * What the job of monitoring costs with two million labels, and what callers notice of it: how late the event loop of the
 * serving process is at 2,000 requests a second, in turns, while the job has thirty days to compute anew and while it has none.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createPool } from '../../src/database/pool.ts';
import { freePort } from '../../src/free-port.ts';
import { housing } from '../../src/housing/features.ts';
import { runMinutely } from '../../src/monitoring/job.ts';
import { type Bench, inTurns } from '../environment.ts';
import { openLoop } from '../load.ts';
import { figure, median, type Row } from '../report.ts';
import { singleRequests } from '../requests.ts';
import { CONNECTIONS } from './throughput.ts';

const LABELS = 2_000_000;
const DAYS = 30;
const RATE = 2_000;
/** Longer than a minute, so that the job runs in each turn. */
const TURN_SECONDS = 66;
const ROUNDS = 3;
/** A percentile of the service is of so many seconds. */
const WINDOW_SECONDS = 10;

export async function monitoring(bench: Bench): Promise<Row[]> {
  const { plan, pipelineVersion, query } = bench;
  const labels = plan.quick ? LABELS / 100 : LABELS;
  await makeLabels(bench, labels);
  const markAll = () =>
    query(
      `insert into live_quality_dirty select $1, (now() at time zone 'UTC')::date - i from generate_series(1, ${DAYS}) as i`,
      [pipelineVersion],
    );

  // PostgreSQL is what is measured, on the core of this process.
  const seconds = await bench.cores.withoutPriority(() => timeOfJob(bench, markAll));

  const adminPort = await freePort();
  const service = await bench.startService({ ADMIN_PORT: String(adminPort) });
  // The service watches its event loop from the first question on.
  await lagOf(adminPort);
  async function turn(work: () => Promise<unknown>): Promise<number> {
    await bench.drained();
    await work();
    const lags: number[] = [];
    const turnSeconds = plan.quick ? 2 * WINDOW_SECONDS : TURN_SECONDS;
    const load = openLoop(service, singleRequests, { rate: RATE, seconds: turnSeconds, connections: CONNECTIONS });
    for (let at = WINDOW_SECONDS; at < turnSeconds; at += WINDOW_SECONDS) {
      await delay(WINDOW_SECONDS * 1000);
      lags.push(await lagOf(adminPort));
    }
    await load;
    return 1000 * Math.max(...lags);
  }
  const lag = await inTurns(plan.quick ? 1 : ROUNDS, {
    without: () => turn(async () => undefined),
    beside: () => turn(markAll),
  });
  const left = (await query('select count(*)::int as cells from live_quality_dirty'))[0]!.cells as number;
  if (left > 0 && !plan.quick)
    throw new Error(`${left} cells were not computed: the job has not worked beside the load.`);
  return [
    figure(`cells of ${DAYS} days with ${labels.toLocaleString('en-US')} labels computed anew`, seconds, { unit: 's' }),
    figure(
      'event loop at 2,000 requests/s: p99 of its delay beside the job, above without it',
      lag.beside.map((value, i) => value - lag.without[i]!),
      {
        unit: 'ms',
        atMost: 1,
        note: `${median(lag.beside).toFixed(2)} ms against ${median(lag.without).toFixed(2)} ms, the worst ${WINDOW_SECONDS} s of each turn`,
      },
    ),
  ];
}

async function timeOfJob({ plan, settings }: Bench, markAll: () => Promise<unknown>): Promise<number[]> {
  const pool = createPool({ url: settings.DATABASE_URL, onError: () => undefined, max: 1 });
  const seconds: number[] = [];
  for (let round = 0; round < (plan.quick ? 1 : ROUNDS); round++) {
    await markAll();
    const startedAt = performance.now();
    await runMinutely({ pool, shipped: housing, log: { info: () => undefined, warn: () => undefined } }, new Date());
    seconds.push((performance.now() - startedAt) / 1000);
  }
  await pool.end();
  return seconds;
}

async function lagOf(adminPort: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  return Number(/^nodejs_eventloop_lag_p99_seconds (.*)$/m.exec(text)![1]);
}

/** Spread over the days before today. */
async function makeLabels({ query, pipelineVersion }: Bench, labels: number): Promise<void> {
  for (const months of [0, 1, 2])
    await query(
      "select ensure_month_partition('ground_truth', 'predicted_at', (now() - make_interval(months => $1))::date, now())",
      [months],
    );
  await query(
    `insert into ground_truth (prediction_id, predicted_at, actual, observed_at, received_at, revision, prediction, pipeline_version)
     select gen_random_uuid(), at, 20 + 10 * random(), at, at + interval '1 day', 1, 20 + 10 * random(), $2
     from generate_series(1, $1::int) as i,
       lateral (select date_trunc('day', now(), 'UTC') - (i * ${DAYS}.0 / $1) * interval '1 day' as at) as moment`,
    [labels, pipelineVersion],
  );
  await query('vacuum analyze ground_truth');
}
