/** Latency at half of the load that the service can bear, where callers come at a constant rate and do not wait. */
import { closedLoop, type LoadResult, openLoop } from '../load.ts';
import { singleQuestions } from '../questions.ts';
import { figure, type Row, ratios, shown } from '../report.ts';
import { median, quantile } from '../statistics.ts';
import type { Bench } from '../surroundings.ts';
import type { Target } from '../targets.ts';
import { CONNECTIONS } from './throughput.ts';

/** The share of Fastify's p99 that may be the load generator's own lateness. */
const DISTURBED = 0.5;

export async function halfPeak(bench: Bench): Promise<Row[]> {
  const { plan } = bench;
  const service = await bench.startService();
  const fastify = await bench.startBaseline('fastify');
  const rate = (await measurePeak(bench, service)) / 2;
  await measurePeak(bench, fastify);

  const results = { ours: [] as LoadResult[], theirs: [] as LoadResult[] };
  for (let round = 0; round < plan.rounds; round++) {
    await bench.drained();
    const load = (target: Target) =>
      openLoop(target, singleQuestions, { rate, seconds: plan.seconds, connections: CONNECTIONS });
    results.theirs.push(await load(fastify));
    results.ours.push(await load(service));
  }
  const at = (q: number, loads: LoadResult[]) => loads.map(({ latencies }) => quantile(latencies, q));
  const late = (loads: LoadResult[]) => median(loads.map(({ lateness }) => quantile(lateness, 0.99)));
  const [lateWithUs, lateWithThem] = [late(results.ours), late(results.theirs)];
  const label = 'half of the peak rate';
  const ratio = figure(`${label}: p99 of bare Fastify's`, ratios(at(0.99, results.ours), at(0.99, results.theirs)), {
    unit: 'x',
    atMost: 2,
    note:
      `${shown(rate, '/s')} from the intended time; p99 of the load generator's own lateness: ` +
      `${shown(lateWithUs, 'ms')} with the service, ${shown(lateWithThem, 'ms')} with Fastify`,
  });
  // Lateness is in both latencies and pulls their ratio towards 1: a bar must not be met by it.
  const disturbed = lateWithThem > DISTURBED * median(at(0.99, results.theirs));
  return [
    disturbed && ratio.verdict === 'met' ? { ...ratio, verdict: 'unclear' } : ratio,
    figure(`${label}: p99 of the service`, at(0.99, results.ours), { unit: 'ms' }),
    figure(`${label}: p99 of bare Fastify`, at(0.99, results.theirs), { unit: 'ms' }),
    figure(`${label}: median of the service`, at(0.5, results.ours), { unit: 'ms' }),
    figure(`${label}: median of bare Fastify`, at(0.5, results.theirs), { unit: 'ms' }),
  ];
}

/** Warms the target up, then finds the most it answers in a second. */
export async function measurePeak({ plan }: Bench, target: Target): Promise<number> {
  const load = (seconds: number) => closedLoop(target, singleQuestions, { connections: CONNECTIONS, seconds });
  await load(plan.warmUpSeconds);
  const { answers, seconds } = await load(plan.seconds);
  return answers / seconds;
}
