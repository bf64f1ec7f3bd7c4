/** A pipeline that is replaced every second under load, against one that stays. */
import { setTimeout as delay } from 'node:timers/promises';
import { openConnection } from '../connection.ts';
import { closedLoop, openLoop } from '../load.ts';
import { predictionsOf, singleQuestions } from '../questions.ts';
import { figure, type Row, ratios, shown } from '../report.ts';
import { median, quantile } from '../statistics.ts';
import { ALPHA, type Bench } from '../surroundings.ts';
import type { Target } from '../targets.ts';
import { measurePeak } from './half-peak.ts';
import { CONNECTIONS } from './throughput.ts';

const OTHER_ALPHA = 10;
const SWAP_EVERY_MS = 1000;
/** One or two swaps, and short, because a shared machine changes its speed from one second to the next. */
const TURN_SECONDS = 1.5;
const ROUNDS = 5;
const SWAP_LIMIT_MS = 5000;

export async function swap(bench: Bench): Promise<Row[]> {
  const { plan, pipelineVersion } = bench;
  const other = await bench.train('--alpha', String(OTHER_ALPHA));
  const versions = [pipelineVersion, other.version];
  await promote(bench, pipelineVersion);
  try {
    const target = await bench.startService({}, { alphas: [ALPHA, OTHER_ALPHA] });
    const rate = (await measurePeak(bench, target)) / 2;
    const rounds = plan.quick ? 1 : ROUNDS;
    const peak = () => closedLoop(target, singleQuestions, { connections: CONNECTIONS, seconds: TURN_SECONDS });
    const steady = () => openLoop(target, singleQuestions, { rate, seconds: TURN_SECONDS, connections: CONNECTIONS });

    const rates = { calm: [] as number[], swapping: [] as number[] };
    const p99s = { calm: [] as number[], swapping: [] as number[] };
    for (let round = 0; round < rounds; round++) {
      await bench.drained();
      for (const kind of ['calm', 'swapping'] as const) {
        const swaps = kind === 'swapping' ? startSwaps(bench, versions) : undefined;
        const { answers, seconds: elapsed } = await peak();
        const { latencies } = await steady();
        await swaps?.stop();
        rates[kind].push(answers / elapsed);
        p99s[kind].push(quantile(latencies, 0.99));
      }
    }
    const takes = await swapMilliseconds(bench, target, other.version);
    return [
      figure('a swap every second: throughput, of none', ratios(rates.swapping, rates.calm), {
        unit: 'x',
        atLeast: 0.95,
        note: `64 connections; one swap took ${shown(takes, 'ms')} from its commit to the first other answer`,
      }),
      figure('a swap every second: p99, of none', ratios(p99s.swapping, p99s.calm), {
        unit: 'x',
        atMost: 1.5,
        note: `half of the peak rate; ${shown(median(p99s.swapping), 'ms')} against ${shown(median(p99s.calm), 'ms')}`,
      }),
    ];
  } finally {
    await promote(bench, pipelineVersion);
  }
}

/** As README.md tells an operator to do it. */
async function promote(bench: Bench, version: string): Promise<void> {
  await bench.query(
    `insert into ml_pipeline_promotion (pipeline_version, promoted_by, reason) values ($1, 'bench', 'swap')`,
    [version],
  );
  await bench.query('notify ridgeline_promotion');
}

function startSwaps(bench: Bench, versions: readonly string[]) {
  const stopped = new AbortController();
  const swapping = (async () => {
    for (let swaps = 1; !stopped.signal.aborted; swaps++) {
      await promote(bench, versions[swaps % versions.length]!);
      await delay(SWAP_EVERY_MS, undefined, { signal: stopped.signal }).catch(() => undefined);
    }
  })();
  return {
    async stop() {
      stopped.abort();
      await swapping;
    },
  };
}

/** From the promotion of the version fitted with OTHER_ALPHA, in a service that serves the first, to its first answer. */
async function swapMilliseconds(bench: Bench, target: Target, version: string): Promise<number> {
  const question = singleQuestions[0]!;
  const isOther = predictionsOf(OTHER_ALPHA);
  const connection = await openConnection(target.url);
  const answerIsOther = async () => {
    const { body } = await connection.ask(question.request);
    target.answeredRows++;
    return isOther(body, question.houses);
  };
  try {
    await promote(bench, bench.pipelineVersion);
    await waitUntil(async () => !(await answerIsOther()));
    const promotedAt = performance.now();
    await promote(bench, version);
    await waitUntil(answerIsOther);
    return performance.now() - promotedAt;
  } finally {
    connection.close();
  }
}

async function waitUntil(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + SWAP_LIMIT_MS; !(await holds()); ) {
    if (Date.now() > deadline) throw new Error('The service did not take the promoted version.');
  }
}
