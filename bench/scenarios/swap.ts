/** A pipeline that is replaced every second under load, against one that stays. */
import { setTimeout as delay } from 'node:timers/promises';
import { ALPHA, type Bench, inTurns } from '../environment.ts';
import { closedLoop, openLoop } from '../load.ts';
import { figure, format, median, quantile, type Row, ratios } from '../report.ts';
import { singleRequests } from '../requests.ts';
import { CONNECTIONS, measurePeak } from './throughput.ts';

const OTHER_ALPHA = 10;
const SWAP_EVERY_MS = 1000;
/** One or two swaps. */
const TURN_SECONDS = 1.5;

export async function swap(bench: Bench): Promise<Row[]> {
  const { plan, pipelineVersion } = bench;
  const versions = [pipelineVersion, (await bench.train('--alpha', String(OTHER_ALPHA))).version];
  await promote(bench, pipelineVersion);
  try {
    const target = await bench.startService({}, [ALPHA, OTHER_ALPHA]);
    const rate = (await measurePeak(bench, target)) / 2;
    const load = { connections: CONNECTIONS, seconds: plan.quick ? plan.seconds : TURN_SECONDS };
    const turn = async () => {
      const peak = await closedLoop(target, singleRequests, load);
      const { latencies } = await openLoop(target, singleRequests, { ...load, rate });
      return { rate: peak.rate, p99: quantile(latencies, 0.99) };
    };
    const { calm, swapping } = await inTurns(2 * plan.rounds, {
      async calm() {
        await bench.drained();
        return await turn();
      },
      swapping: () => whileSwapping(bench, versions, turn),
    });
    const rates = ratios(
      swapping.map((one) => one.rate),
      calm.map((one) => one.rate),
    );
    const [ours, theirs] = [swapping, calm].map((turns) => turns.map(({ p99 }) => p99)) as [number[], number[]];
    const note = `half of the peak rate; ${format(median(ours), 'ms')} against ${format(median(theirs), 'ms')}`;
    return [
      figure('a swap every second: throughput, of none', rates, { unit: 'x', atLeast: 0.95 }),
      figure('a swap every second: p99, of none', ratios(ours, theirs), { unit: 'x', atMost: 1.5, note }),
    ];
  } finally {
    await promote(bench, pipelineVersion);
  }
}

async function promote({ query }: Bench, version: string): Promise<void> {
  const text = `insert into ml_pipeline_promotion (pipeline_version, promoted_by, reason) values ($1, 'bench', 'swap')`;
  await query(text, [version]);
  await query('notify ridgeline_promotion');
}

async function whileSwapping<Result>(
  bench: Bench,
  versions: readonly string[],
  work: () => Promise<Result>,
): Promise<Result> {
  const stopped = new AbortController();
  const swapping = (async () => {
    for (let swaps = 1; !stopped.signal.aborted; swaps++) {
      await promote(bench, versions[swaps % versions.length]!);
      await delay(SWAP_EVERY_MS, undefined, { signal: stopped.signal }).catch(() => undefined);
    }
  })();
  try {
    return await work();
  } finally {
    stopped.abort();
    await swapping;
  }
}
