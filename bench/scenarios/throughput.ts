/** The most that one core answers to 64 callers: the service with everything on, without storing, and both baselines. */
import { coreTimes } from '../cores.ts';
import { closedLoop } from '../load.ts';
import { cpuSeconds } from '../processes.ts';
import { singleQuestions } from '../questions.ts';
import { figure, type Row, ratios, shown } from '../report.ts';
import { median } from '../statistics.ts';
import type { Bench } from '../surroundings.ts';
import type { Target } from '../targets.ts';

export const CONNECTIONS = 64;

/** What is kept of each round, one element a round. */
interface Rounds {
  target: Target;
  /** Answers a second. */
  rates: number[];
  /** Processor microseconds of the process for one answer, with what it does afterwards to store it. */
  cpuMicroseconds: number[];
  /** The share of the time in which its core had nothing to do. */
  idlePercent: number[];
}

export async function throughput(bench: Bench): Promise<Row[]> {
  const { plan } = bench;
  const service = rounds(await bench.startService());
  const notStoring = rounds(await bench.startService({ PREDICTION_LOG: 'off' }));
  const fastify = rounds(await bench.startBaseline('fastify'));
  const http = rounds(await bench.startBaseline('http'));
  const all = [fastify, service, http, notStoring];
  let generatorShare = 0;
  const drains: number[] = [];

  for (const { target } of all) await load(target, plan.warmUpSeconds);
  await bench.drained();
  for (let round = 1; round <= plan.rounds; round++) {
    for (const { target, rates, cpuMicroseconds, idlePercent } of all) {
      const cpuBefore = cpuSeconds(target.pid);
      const before = coreTimes(bench.cores.measured);
      const result = await load(target, plan.seconds);
      const after = coreTimes(bench.cores.measured);
      idlePercent.push((100 * (after.idle - before.idle)) / (after.all - before.all));
      const answered = target.answeredRows;
      const drainSeconds = await bench.drained();
      rates.push(result.answers / result.seconds);
      cpuMicroseconds.push(((cpuSeconds(target.pid) - cpuBefore) * 1e6) / answered);
      if (target.stores) drains.push(drainSeconds);
      generatorShare = Math.max(generatorShare, result.generatorShare);
    }
    bench.say(
      `round ${round}: ${all.map(({ target, rates }) => `${target.name} ${shown(rates.at(-1)!, '/s')}`).join(', ')}`,
    );
  }

  const drained = `all of it was stored ${shown(median(drains), 's')} after the load's end`;
  return [
    figure('64 connections: of bare Fastify', ratios(service.rates, fastify.rates), {
      unit: 'x',
      atLeast: 1,
      note: drained,
    }),
    figure('64 connections: of node:http', ratios(service.rates, http.rates), { unit: 'x', atLeast: 0.8 }),
    figure('64 connections: storing, of not storing', ratios(service.rates, notStoring.rates), {
      unit: 'x',
      atLeast: 0.9,
    }),
    ...all.map(({ target, rates }) => figure(`64 connections: ${target.name}`, rates, { unit: '/s' })),
    ...[fastify, service].map(({ target, idlePercent }) =>
      figure(`its core had nothing to do: ${target.name}`, idlePercent, {
        unit: '%',
        note: target.stores ? 'the callers wait while PostgreSQL has their core' : '',
      }),
    ),
    ...all.map(({ target, cpuMicroseconds }) =>
      figure(`processor time for an answer: ${target.name}`, cpuMicroseconds, { unit: 'us' }),
    ),
    figure('processor time for an answer: of bare Fastify', ratios(service.cpuMicroseconds, fastify.cpuMicroseconds), {
      unit: 'x',
      note: `user and system, with the relay; the load generator used up to ${shown(generatorShare * 100, '%')} of its core`,
    }),
  ];
}

const rounds = (target: Target): Rounds => ({ target, rates: [], cpuMicroseconds: [], idlePercent: [] });
const load = (target: Target, seconds: number) =>
  closedLoop(target, singleQuestions, { connections: CONNECTIONS, seconds });
