/** The most that one core answers to 64 callers: the service with everything on, without storing, and the baselines. */
import { type Bench, inTurns } from '../environment.ts';
import { closedLoop } from '../load.ts';
import { figure, format, median, type Row, ratios } from '../report.ts';
import { singleRequests } from '../requests.ts';
import { cpuSeconds, type Target } from '../targets.ts';

export const CONNECTIONS = 64;
/** The same code in another process is up to a tenth faster or slower, by where its code and data happen to lie. */
const PROCESSES_OF_EACH = 3;

const load = (target: Target, seconds: number) =>
  closedLoop(target, singleRequests, { connections: CONNECTIONS, seconds });

/** Warms the target up, then finds the most it answers in a second. */
export async function measurePeak({ plan }: Bench, target: Target): Promise<number> {
  await load(target, plan.warmUpSeconds);
  return (await load(target, plan.seconds)).rate;
}

export async function throughput(bench: Bench): Promise<Row[]> {
  const { plan } = bench;
  const drains: number[] = [];
  const rates: Record<string, number[]> = {};
  const cpu: Record<string, number[]> = {};

  /** One turn: the rate, and the processor time of an answer with what the process does afterwards to store it. */
  const turn = async (target: Target) => {
    const cpuBefore = cpuSeconds(target.pid);
    const { rate, latencies } = await load(target, plan.seconds);
    const answered = target.answeredRows || latencies.length;
    const drainSeconds = await bench.drained();
    if (target.table === 'predictions') drains.push(drainSeconds);
    return { rate, microseconds: ((cpuSeconds(target.pid) - cpuBefore) * 1e6) / answered };
  };
  for (let set = 0; set < (plan.quick ? 1 : PROCESSES_OF_EACH); set++) {
    const targets = {
      fastify: await bench.startBaseline('fastify'),
      service: await bench.startService(),
      http: await bench.startBaseline('node-http'),
      notStoring: await bench.startService({ PREDICTION_LOG: 'off' }),
      byHand: await bench.startBaseline('hand-written'),
    };
    for (const target of Object.values(targets)) await load(target, plan.warmUpSeconds);
    await bench.drained();
    const sides = Object.entries(targets).map(([name, target]) => [name, () => turn(target)] as const);
    for (const [name, turns] of Object.entries(await inTurns(plan.rounds, Object.fromEntries(sides)))) {
      rates[name] = [...(rates[name] ?? []), ...turns.map(({ rate }) => rate)];
      cpu[name] = [...(cpu[name] ?? []), ...turns.map(({ microseconds }) => microseconds)];
      bench.log(`${name} ${turns.map(({ rate }) => format(rate, '/s')).join(' ')}`);
    }
    await bench.stopTargets();
  }

  const of = (name: string) => ratios(rates.service!, rates[name]!);
  const note = `all of it was stored ${format(median(drains), 's')} after the load's end`;
  return [
    figure('64 connections: of bare Fastify', of('fastify'), { unit: 'x', atLeast: 1, note }),
    figure('64 connections: of node:http', of('http'), { unit: 'x', atLeast: 0.8 }),
    figure('64 connections: of a hand-written service', of('byHand'), { unit: 'x' }),
    figure('64 connections: storing, of not storing', of('notStoring'), { unit: 'x', atLeast: 0.9 }),
    figure('64 connections: the service', rates.service!, { unit: '/s' }),
    figure('64 connections: bare Fastify', rates.fastify!, { unit: '/s' }),
    figure('64 connections: node:http', rates.http!, { unit: '/s' }),
    figure('64 connections: the hand-written service', rates.byHand!, { unit: '/s' }),
    figure('processor time for an answer: the service', cpu.service!, { unit: 'us' }),
    figure('processor time for an answer: bare Fastify', cpu.fastify!, { unit: 'us' }),
  ];
}
