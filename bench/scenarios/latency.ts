/** What callers wait: a lone one, and those who come at half of the peak rate and do not wait for each other. */
import { type Bench, inTurns } from '../environment.ts';
import { closedLoop, openLoop } from '../load.ts';
import { figure, format, median, quantile, type Row, ratios } from '../report.ts';
import { singleRequests } from '../requests.ts';
import type { Target } from '../targets.ts';
import { CONNECTIONS, measurePeak } from './throughput.ts';

/** A p99 of few thousand answers is decided by two or three pauses of the machine. */
const HALF_PEAK_SECONDS = 3;

export async function latency(bench: Bench): Promise<Row[]> {
  const { plan } = bench;
  const service = await bench.startService();
  const fastify = await bench.startBaseline('fastify');
  const rate = (await measurePeak(bench, service)) / 2;
  await measurePeak(bench, fastify);
  const rounds = 2 * plan.rounds;

  const alone = (target: Target) => async () => {
    await bench.drained();
    const { latencies } = await closedLoop(target, singleRequests, { connections: 1, seconds: plan.seconds });
    return 1000 * quantile(latencies, 0.5);
  };
  const one = await inTurns(rounds, { theirs: alone(fastify), ours: alone(service) });

  const atHalfPeak = (target: Target) => async () => {
    await bench.drained();
    const seconds = plan.quick ? plan.seconds : HALF_PEAK_SECONDS;
    return await openLoop(target, singleRequests, { rate, seconds, connections: CONNECTIONS });
  };
  const half = await inTurns(rounds, { theirs: atHalfPeak(fastify), ours: atHalfPeak(service) });
  const p99 = (loads: typeof half.ours) => loads.map(({ latencies }) => quantile(latencies, 0.99));
  const late = median(half.ours.map(({ lateness }) => quantile(lateness, 0.99)));
  return [
    figure(
      'one connection: median latency above bare Fastify',
      one.ours.map((value, i) => value - one.theirs[i]!),
      {
        unit: 'us',
        atMost: 60,
        note: `${format(median(one.ours), 'us')} against ${format(median(one.theirs), 'us')}`,
      },
    ),
    figure("half of the peak rate: p99 of bare Fastify's", ratios(p99(half.ours), p99(half.theirs)), {
      unit: 'x',
      atMost: 2,
      note: `${format(rate, '/s')} from when they fall due; the load generator was late by ${format(late, 'ms')} (p99)`,
    }),
    figure('half of the peak rate: p99 of the service', p99(half.ours), { unit: 'ms' }),
    figure('half of the peak rate: p99 of bare Fastify', p99(half.theirs), { unit: 'ms' }),
  ];
}
