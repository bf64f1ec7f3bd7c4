/** What a lone caller waits for validation, inference and storing: its latency minus that of the bare Fastify route. */
import { closedLoop } from '../load.ts';
import { singleQuestions } from '../questions.ts';
import { figure, type Row } from '../report.ts';
import { quantile } from '../statistics.ts';
import type { Bench } from '../surroundings.ts';
import type { Target } from '../targets.ts';

export async function oneConnection(bench: Bench): Promise<Row[]> {
  const { plan } = bench;
  const service = await bench.startService();
  const fastify = await bench.startBaseline('fastify');
  const load = (target: Target, seconds: number) => closedLoop(target, singleQuestions, { connections: 1, seconds });
  const medianMicroseconds = async (target: Target) => {
    const { latencies } = await load(target, plan.seconds / 2);
    return quantile(latencies, 0.5) * 1000;
  };

  for (const target of [fastify, service]) await load(target, plan.warmUpSeconds);
  const theirs: number[] = [];
  const ours: number[] = [];
  for (let round = 0; round < plan.rounds; round++) {
    await bench.drained();
    theirs.push(await medianMicroseconds(fastify));
    ours.push(await medianMicroseconds(service));
  }
  const above = ours.map((value, round) => value - theirs[round]!);
  return [
    figure('one connection: median latency above bare Fastify', above, { unit: 'us', atMost: 60 }),
    figure('one connection: median latency of bare Fastify', theirs, { unit: 'us' }),
    figure('one connection: median latency of the service', ours, { unit: 'us' }),
  ];
}
