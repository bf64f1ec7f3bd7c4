/**
 * Three times more load than the service can bear, as single rows and as batches: what it still answers, whether a
 * supervisor still hears from it, and how soon all is well again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from '../environment.ts';
import { getRequest, openConnection } from '../http-client.ts';
import { closedLoop, type LoadResult, openLoop } from '../load.ts';
import { figure, format, quantile, type Row } from '../report.ts';
import { batchRequests, type Request, singleRequests } from '../requests.ts';
import type { Target } from '../targets.ts';

interface Form {
  label: string;
  requests: readonly Request[];
  /**
   * That find the peak: as many as overload it, where none of them is refused for asking as fast as it is answered; that
   * many connections cost Node something by themselves, overload or not.
   */
  connections: number;
  rounds: number;
}

const SINGLE_ROWS: Form = { label: 'overload, single rows', requests: singleRequests, connections: 256, rounds: 5 };
/** Few rounds: what batches bring in one second, PostgreSQL needs five to store. */
const BATCHES: Form = { label: 'overload, 1,000 rows each', requests: batchRequests(1000), connections: 4, rounds: 3 };
const CALLERS = 256;
const TIMES = 3;
/** A supervisor's usual time limit. */
const PROBE_LIMIT_MS = 1000;

interface Round {
  peakRate: number;
  result: LoadResult;
  recoverySeconds: number;
}

export async function overload(bench: Bench): Promise<Row[]> {
  const service = await bench.startService();
  const rows: Row[] = [];
  for (const form of [SINGLE_ROWS, BATCHES]) {
    const rounds: Round[] = [];
    const slowestProbe = await whileProbed(service, async () => {
      await closedLoop(service, form.requests, { connections: form.connections, seconds: bench.plan.warmUpSeconds });
      // One more, in which V8 still compiles what only an overload calls.
      for (let i = 0; i <= (bench.plan.quick ? 1 : form.rounds); i++)
        rounds.push(await measureRound(bench, service, form));
    });
    rows.push(...rowsOf(form.label, rounds.slice(1), slowestProbe));
  }
  return rows;
}

async function measureRound(bench: Bench, target: Target, { requests, connections }: Form): Promise<Round> {
  const { seconds } = bench.plan;
  await bench.drained();
  const { rate: peakRate } = await closedLoop(target, requests, { connections, seconds });
  await bench.drained();
  const rate = TIMES * peakRate;
  const result = await openLoop(target, requests, { rate, seconds, connections: CALLERS, overload: true });
  return { peakRate, result, recoverySeconds: await secondsUntilWell(target) };
}

function rowsOf(label: string, rounds: readonly Round[], slowestProbe: number): Row[] {
  const { peakRate, result } = rounds.at(-1)!;
  const { latencies, refusals, notSent } = result;
  const share = (count: number) => `${Math.round((100 * count) / (latencies.length + refusals + notSent))} %`;
  const goodput = rounds.map((round) => round.result.rate / round.peakRate);
  return [
    figure(`${label}: goodput, of the peak`, goodput, {
      unit: 'x',
      atLeast: 0.9,
      note:
        `${CALLERS} connections; in the last round ${format(peakRate * TIMES, '/s')} offered, ${share(latencies.length)} ` +
        `answered (p99 ${format(quantile(latencies, 0.99), 'ms')}), ${share(refusals)} refused with Retry-After, ` +
        `${share(notSent)} found no free connection`,
    }),
    figure(`${label}: slowest answer of /livez`, [slowestProbe], { unit: 'ms', atMost: PROBE_LIMIT_MS }),
    figure(
      `${label}: recovers in`,
      rounds.map(({ recoverySeconds }) => recoverySeconds),
      { unit: 's', atMost: 2 },
    ),
  ];
}

/** Seconds until a new caller is answered 200 within 100 ms. */
async function secondsUntilWell(target: Target): Promise<number> {
  for (const startedAt = performance.now(); ; await delay(20)) {
    const askedAt = performance.now();
    const connection = await openConnection(target.url);
    const { status } = await connection.ask(singleRequests[0]!.bytes).finally(() => connection.close());
    if (status === 200) target.answeredRows++;
    const now = performance.now();
    if (status === 200 && now - askedAt < 100) return (now - startedAt) / 1000;
  }
}

/** Asks for /livez ten times a second meanwhile, as a supervisor in a hurry would; gives the slowest answer in ms. */
async function whileProbed(target: Target, work: () => Promise<void>): Promise<number> {
  const connection = await openConnection(target.url);
  let slowest = 0;
  let done = false;
  const probing = (async () => {
    for (; !done; await delay(100)) {
      const askedAt = performance.now();
      const { status } = await connection.ask(getRequest('/livez'));
      if (status !== 200) throw new Error(`/livez answered ${status}`);
      slowest = Math.max(slowest, performance.now() - askedAt);
    }
  })();
  // It is awaited below; until then its failure is nobody's surprise.
  probing.catch(() => undefined);
  try {
    await work();
  } finally {
    done = true;
    await probing.finally(() => connection.close());
  }
  return slowest;
}
