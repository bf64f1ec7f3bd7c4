/**
 * Three times more load than the service can bear, as single rows and as batches. What it still answers, how it refuses
 * the rest, whether a supervisor still hears from it, and how soon all is well again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { getRequest, openConnection } from '../connection.ts';
import { closedLoop, type LoadResult, openLoop } from '../load.ts';
import { batchQuestions, type Question, singleQuestions } from '../questions.ts';
import { fact, figure, type Row, shown } from '../report.ts';
import { quantile } from '../statistics.ts';
import type { Bench } from '../surroundings.ts';
import type { Target } from '../targets.ts';

interface Form {
  label: string;
  questions: readonly Question[];
  /** That find the peak. */
  connections: number;
  /** Of the plan's seconds: what batches bring in one second, PostgreSQL needs four to store. */
  share: number;
}

const SINGLE_ROWS: Form = { label: 'overload, single rows', questions: singleQuestions, connections: 64, share: 1 };
const BATCHES: Form = {
  label: 'overload, 1,000 rows each',
  questions: batchQuestions(1000),
  connections: 4,
  share: 0.5,
};
const TIMES = 3;
/** That bring the overload; what falls due while all wait for an answer is not sent. */
const CALLERS = 256;
/** So many that they cost something by themselves, whatever is behind them. */
const MANY_CALLERS = 1000;
const RECOVERY_LIMIT_S = 2;
/** A supervisor's usual time limit. */
const PROBE_LIMIT_MS = 1000;

export async function overload(bench: Bench): Promise<Row[]> {
  const service = await bench.startService();
  const baseline = await bench.startBaseline('fastify');
  return [
    ...(await overloadOf(bench, service, SINGLE_ROWS)),
    ...(await overloadOf(bench, service, BATCHES)),
    await manyCallersOf(bench, service, 'the service'),
    await manyCallersOf(bench, baseline, 'bare Fastify'),
  ];
}

async function overloadOf(bench: Bench, target: Target, form: Form): Promise<Row[]> {
  const { label } = form;
  await warmUp(bench, target, form);
  const probes = startProbes(target);
  const rounds: Round[] = [];
  for (let round = 0; round < bench.plan.rounds; round += 2) {
    rounds.push(await measureRound(bench, target, form, CALLERS));
  }
  const probed = await probes.stop();
  const { peakRate, result } = rounds.at(-1)!;
  return [
    figure(`${label}: goodput, of the peak`, rounds.map(goodputOf), {
      unit: 'x',
      atLeast: 0.9,
      note: `${CALLERS} connections; in the last round ${shown(peakRate * TIMES, '/s')} offered, ${describe(result)}`,
    }),
    fact(`${label}: /livez answers`, probed.slowest <= PROBE_LIMIT_MS && probed.failed === 0, {
      measured: `${probed.answered} of ${probed.answered + probed.failed}, slowest ${shown(probed.slowest, 'ms')}`,
      bar: `all within ${PROBE_LIMIT_MS / 1000} s`,
    }),
    figure(
      `${label}: recovers in`,
      rounds.map(({ recoverySeconds }) => recoverySeconds),
      { unit: 's', atMost: RECOVERY_LIMIT_S },
    ),
  ];
}

/** The same by far more callers. Node does more for each request when there are many connections: see the baseline. */
async function manyCallersOf(bench: Bench, target: Target, name: string): Promise<Row> {
  await warmUp(bench, target, SINGLE_ROWS);
  const round = await measureRound(bench, target, SINGLE_ROWS, MANY_CALLERS);
  return figure(`the same over ${MANY_CALLERS.toLocaleString('en-US')} connections: ${name}`, [goodputOf(round)], {
    unit: 'x',
    note: describe(round.result),
  });
}

interface Round {
  /** Answers a second. */
  peakRate: number;
  result: LoadResult;
  recoverySeconds: number;
}

const goodputOf = ({ peakRate, result }: Round) => result.answers / result.seconds / peakRate;

const warmUp = ({ plan }: Bench, target: Target, { questions, connections }: Form) =>
  closedLoop(target, questions, { connections, seconds: plan.warmUpSeconds });

/** The peak, and what is left of it when `TIMES` as much falls due. */
async function measureRound(
  bench: Bench,
  target: Target,
  { questions, connections, share }: Form,
  callers: number,
): Promise<Round> {
  const seconds = bench.plan.seconds * share;
  await bench.drained();
  const peak = await closedLoop(target, questions, { connections, seconds });
  await bench.drained();

  const peakRate = peak.answers / peak.seconds;
  let recovery: Promise<number> | undefined;
  const result = await openLoop(target, questions, {
    rate: peakRate * TIMES,
    seconds,
    connections: callers,
    overload: true,
    onLastSent: () => {
      recovery = secondsUntilWell(bench, target);
      // It is awaited below; until then its failure is nobody's surprise.
      recovery.catch(() => undefined);
    },
  });
  return { peakRate, result, recoverySeconds: (await recovery)! };
}

function describe({ answers, refusals, notSent, latencies, refusalLatencies }: LoadResult): string {
  const share = (count: number) => shown((100 * count) / (answers + refusals + notSent), '%');
  const refused =
    refusals === 0
      ? 'none refused'
      : `${share(refusals)} refused with Retry-After (p99 ${shown(quantile(refusalLatencies, 0.99), 'ms')})`;
  return `${share(answers)} answered (p99 ${shown(quantile(latencies, 0.99), 'ms')}), ${refused}, ${share(notSent)} found no free connection`;
}

/** Seconds until a new caller is answered 200 within 100 ms. */
async function secondsUntilWell(bench: Bench, target: Target): Promise<number> {
  const startedAt = performance.now();
  while (true) {
    const askedAt = performance.now();
    const status = await bench.askOnce(target);
    const now = performance.now();
    if (status === 200 && now - askedAt < 100) return (now - startedAt) / 1000;
    await delay(20);
  }
}

/** Asks for /livez ten times a second, as a supervisor that is in a hurry would. */
function startProbes(target: Target) {
  let stopped = false;
  let answered = 0;
  let failed = 0;
  let slowest = 0;
  const probing = (async () => {
    const connection = await openConnection(target.url);
    while (!stopped) {
      const askedAt = performance.now();
      const { status } = await connection.ask(getRequest('/livez'));
      if (status === 200) answered++;
      else failed++;
      slowest = Math.max(slowest, performance.now() - askedAt);
      await delay(100);
    }
    connection.close();
  })();
  probing.catch(() => undefined);
  return {
    async stop() {
      stopped = true;
      await probing;
      return { answered, failed, slowest };
    },
  };
}
