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

/** What is measured, and what is kept of it: one element a round. */
interface Subject {
  name: string;
  start: () => Promise<Target>;
  /** Answers a second. */
  rates: number[];
  /** Processor microseconds of the process for one answer, with what it does afterwards to store it. */
  cpuMicroseconds: number[];
  /** The share of the time in which its core had nothing to do. */
  idlePercent: number[];
}

/** The same code in another process is up to a tenth faster or slower, by where its code and data happen to lie. */
const PROCESSES_OF_EACH = 3;
/** A shared machine changes its speed from one second to the next, and a ratio holds within a round. */
const LONGEST_TURN_SECONDS = 1;

export async function throughput(bench: Bench): Promise<Row[]> {
  const { plan } = bench;
  const service = subject('the service', () => bench.startService());
  const notStoring = subject('the service without storing', () => bench.startService({ PREDICTION_LOG: 'off' }));
  const fastify = subject('the baseline (fastify)', () => bench.startBaseline('fastify'));
  const http = subject('the baseline (http)', () => bench.startBaseline('http'));
  const all = [fastify, service, http, notStoring];
  const seconds = Math.min(plan.seconds, LONGEST_TURN_SECONDS);
  const processes = plan.quick ? 1 : PROCESSES_OF_EACH;
  const rounds = Math.round((plan.rounds * plan.seconds) / (seconds * processes));
  let generatorShare = 0;
  const drains: number[] = [];

  for (let set = 0; set < processes; set++) {
    const targets = await startAll(bench, all);
    for (let round = 1; round <= rounds; round++) {
      for (const [{ rates, cpuMicroseconds, idlePercent }, target] of targets) {
        const cpuBefore = cpuSeconds(target.pid);
        const before = coreTimes(bench.cores.measured);
        const result = await load(target, seconds);
        const after = coreTimes(bench.cores.measured);
        idlePercent.push((100 * (after.idle - before.idle)) / (after.all - before.all));
        const answered = target.answeredRows;
        const drainSeconds = await bench.drained();
        rates.push(result.answers / result.seconds);
        cpuMicroseconds.push(((cpuSeconds(target.pid) - cpuBefore) * 1e6) / answered);
        if (target.stores) drains.push(drainSeconds);
        generatorShare = Math.max(generatorShare, result.generatorShare);
      }
      bench.say(all.map(({ name, rates }) => `${name} ${shown(rates.at(-1)!, '/s')}`).join(', '));
    }
    await bench.stopTargets();
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
    ...all.map(({ name, rates }) => figure(`64 connections: ${name}`, rates, { unit: '/s' })),
    ...[fastify, service].map(({ name, idlePercent }) =>
      figure(`its core had nothing to do: ${name}`, idlePercent, { unit: '%' }),
    ),
    ...all.map(({ name, cpuMicroseconds }) =>
      figure(`processor time for an answer: ${name}`, cpuMicroseconds, { unit: 'us' }),
    ),
    figure('processor time for an answer: of bare Fastify', ratios(service.cpuMicroseconds, fastify.cpuMicroseconds), {
      unit: 'x',
      note: `user and system, with the relay; the load generator used up to ${shown(generatorShare * 100, '%')} of its core`,
    }),
  ];
}

const subject = (name: string, start: () => Promise<Target>): Subject => ({
  name,
  start,
  rates: [],
  cpuMicroseconds: [],
  idlePercent: [],
});

async function startAll(bench: Bench, subjects: readonly Subject[]): Promise<[Subject, Target][]> {
  const targets: [Subject, Target][] = [];
  for (const each of subjects) targets.push([each, await each.start()]);
  for (const [, target] of targets) await load(target, bench.plan.warmUpSeconds);
  await bench.drained();
  return targets;
}

const load = (target: Target, seconds: number) =>
  closedLoop(target, singleQuestions, { connections: CONNECTIONS, seconds });
