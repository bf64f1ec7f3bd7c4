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
  /** That bring the overload; what falls due while all wait for an answer is not sent. */
  overloadConnections: number;
}

const FORMS: readonly Form[] = [
  { label: 'overload, single rows', questions: singleQuestions, connections: 64, overloadConnections: 1000 },
  { label: 'overload, 1,000 rows each', questions: batchQuestions(1000), connections: 4, overloadConnections: 256 },
];
const TIMES = 3;
const RECOVERY_LIMIT_S = 2;
/** A supervisor's usual time limit. */
const PROBE_LIMIT_MS = 1000;

export async function overload(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const form of FORMS) rows.push(...(await overloadWith(bench, form)));
  rows.push(await whatConnectionsCost(bench, FORMS[0]!));
  return rows;
}

/** What the baseline loses by the number of connections alone: Node does more for each request when there are many. */
async function whatConnectionsCost({ plan, startBaseline }: Bench, form: Form): Promise<Row> {
  const target = await startBaseline('fastify');
  const rate = async (connections: number) => {
    const result = await closedLoop(target, form.questions, { connections, seconds: plan.seconds });
    return result.answers / result.seconds;
  };
  await closedLoop(target, form.questions, { connections: form.connections, seconds: plan.warmUpSeconds });
  const few = await rate(form.connections);
  return figure(
    `bare Fastify: ${form.overloadConnections} connections in a closed loop, of ${form.connections}`,
    [(await rate(form.overloadConnections)) / few],
    { unit: 'x' },
  );
}

async function overloadWith(bench: Bench, form: Form): Promise<Row[]> {
  const { plan } = bench;
  const { label, questions, connections } = form;
  const target = await bench.startService();
  await closedLoop(target, questions, { connections, seconds: plan.warmUpSeconds });
  const peak = await closedLoop(target, questions, { connections, seconds: plan.seconds });
  await bench.drained();

  const peakRate = peak.answers / peak.seconds;
  const probes = startProbes(target);
  let recovery: Promise<number> | undefined;
  const result = await openLoop(target, questions, {
    rate: peakRate * TIMES,
    seconds: plan.seconds,
    connections: form.overloadConnections,
    overload: true,
    onLastSent: () => {
      recovery = secondsUntilWell(bench, target);
      // It is awaited below; until then its failure is nobody's surprise.
      recovery.catch(() => undefined);
    },
  });
  const recoverySeconds = (await recovery)!;
  const probed = await probes.stop();
  await bench.drained();
  return [
    figure(`${label}: goodput, of the peak`, [result.answers / result.seconds / peakRate], {
      unit: 'x',
      atLeast: 0.9,
      note: `${shown(peakRate * TIMES, '/s')} offered; ${describe(result)}`,
    }),
    fact(`${label}: /livez answers`, probed.slowest <= PROBE_LIMIT_MS && probed.failed === 0, {
      measured: `${probed.answered} of ${probed.answered + probed.failed}, slowest ${shown(probed.slowest, 'ms')}`,
      bar: `all within ${PROBE_LIMIT_MS / 1000} s`,
    }),
    figure(`${label}: recovers in`, [recoverySeconds], { unit: 's', atMost: RECOVERY_LIMIT_S }),
  ];
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
