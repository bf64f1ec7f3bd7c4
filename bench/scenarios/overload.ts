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
import { CONNECTIONS } from './throughput.ts';

interface Form {
  label: string;
  questions: readonly Question[];
  /** Over which three times the peak falls due. */
  callers: number;
  /**
   * That find the peak: the same callers where none of them is refused for asking as fast as it is answered. Hundreds of
   * connections cost Node something by themselves, overload or not.
   */
  connections: number;
  /** The peak over these connections is measured too, for comparison with what the other scenarios report. */
  fewConnections?: number;
  rounds: number;
}

const SINGLE_ROWS: Form = {
  label: 'overload, single rows',
  questions: singleQuestions,
  callers: 256,
  connections: 256,
  fewConnections: CONNECTIONS,
  rounds: 6,
};
const MANY_CALLERS: Form = {
  ...SINGLE_ROWS,
  label: 'the same over 1,000 connections',
  callers: 1000,
  connections: 1000,
  rounds: 3,
};
/** Few rounds: what batches bring in one second, PostgreSQL needs five to store. */
const BATCHES: Form = {
  label: 'overload, 1,000 rows each',
  questions: batchQuestions(1000),
  callers: 256,
  connections: 4,
  rounds: 3,
};
const TIMES = 3;
/** A shared machine changes its speed from one second to the next, and the peak before each overload is its measure. */
const LONGEST_TURN_SECONDS = 1;
const RECOVERY_LIMIT_S = 2;
/** A supervisor's usual time limit. */
const PROBE_LIMIT_MS = 1000;

export async function overload(bench: Bench): Promise<Row[]> {
  const service = await bench.startService();
  const baseline = await bench.startBaseline('fastify');
  const [single, probedSingle] = await whileProbed(service, () => inTurns(bench, [service, baseline], SINGLE_ROWS));
  const [batches, probedBatches] = await whileProbed(service, () => inTurns(bench, [service], BATCHES));
  const many = await inTurns(bench, [service, baseline], MANY_CALLERS);
  return [
    ...rowsOf(SINGLE_ROWS, single[0]!, probedSingle),
    ...versusFewConnections(SINGLE_ROWS, single),
    ...rowsOf(BATCHES, batches[0]!, probedBatches),
    figure(`${MANY_CALLERS.label}: goodput, of the peak`, many[0]!.map(goodputOf), {
      unit: 'x',
      note: describe(many[0]!.at(-1)!.result),
    }),
    ...versusFewConnections(MANY_CALLERS, many),
  ];
}

function rowsOf({ label, callers }: Form, rounds: readonly Round[], probed: Probed): Row[] {
  const { peakRate, result } = rounds.at(-1)!;
  return [
    figure(`${label}: goodput, of the peak`, rounds.map(goodputOf), {
      unit: 'x',
      atLeast: 0.9,
      note: `${callers} connections; in the last round ${shown(peakRate * TIMES, '/s')} offered, ${describe(result)}`,
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

/** What many connections cost, with overload and without, with a service behind them and with nothing. */
function versusFewConnections({ label, fewConnections }: Form, [ours, theirs]: Round[][]): Row[] {
  const ratioOf = ({ result, fewRate }: Round) => result.answers / result.seconds / fewRate!;
  const what = `${label}: goodput, of the peak over ${fewConnections} connections`;
  return [
    figure(`${what}: the service`, ours!.map(ratioOf), { unit: 'x' }),
    figure(`${what}: bare Fastify`, theirs!.map(ratioOf), { unit: 'x' }),
  ];
}

interface Round {
  /** Answers a second. */
  peakRate: number;
  /** Over few connections, where they were measured. */
  fewRate: number | undefined;
  result: LoadResult;
  recoverySeconds: number;
}

const goodputOf = ({ peakRate, result }: Round) => result.answers / result.seconds / peakRate;

/** The rounds of each target, in the targets' order. */
async function inTurns(bench: Bench, targets: readonly Target[], form: Form): Promise<Round[][]> {
  const { questions, connections } = form;
  for (const target of targets) {
    await closedLoop(target, questions, { connections, seconds: bench.plan.warmUpSeconds });
  }
  const all: Round[][] = targets.map(() => []);
  for (let round = 0; round <= (bench.plan.quick ? 0 : form.rounds); round++) {
    for (const [i, target] of targets.entries()) all[i]!.push(await measureRound(bench, target, form));
  }
  // In the first V8 still compiles what only an overload calls.
  return bench.plan.quick ? all : all.map((rounds) => rounds.slice(1));
}

/** The peak, and what is left of it when `TIMES` as much falls due. */
async function measureRound(bench: Bench, target: Target, form: Form): Promise<Round> {
  const { questions, connections, fewConnections, callers } = form;
  const seconds = Math.min(bench.plan.seconds, LONGEST_TURN_SECONDS);
  const peakOver = async (count: number) => {
    await bench.drained();
    const peak = await closedLoop(target, questions, { connections: count, seconds });
    return peak.answers / peak.seconds;
  };
  const fewRate = fewConnections === undefined ? undefined : await peakOver(fewConnections);
  const peakRate = await peakOver(connections);
  await bench.drained();

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
  return { peakRate, fewRate, result, recoverySeconds: (await recovery)! };
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

interface Probed {
  answered: number;
  failed: number;
  slowest: number;
}

/** Asks for /livez ten times a second meanwhile, as a supervisor that is in a hurry would. */
async function whileProbed<Result>(target: Target, work: () => Promise<Result>): Promise<[Result, Probed]> {
  const probed: Probed = { answered: 0, failed: 0, slowest: 0 };
  const connection = await openConnection(target.url);
  let done = false;
  const probing = (async () => {
    while (!done) {
      const askedAt = performance.now();
      const { status } = await connection.ask(getRequest('/livez'));
      if (status === 200) probed.answered++;
      else probed.failed++;
      probed.slowest = Math.max(probed.slowest, performance.now() - askedAt);
      await delay(100);
    }
  })();
  // It is awaited below; until then its failure is nobody's surprise.
  probing.catch(() => undefined);
  try {
    return [await work(), probed];
  } finally {
    done = true;
    await probing.finally(() => connection.close());
  }
}
