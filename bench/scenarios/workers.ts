/** Two workers against one, neither pinned. Here they share the cores with the load generator and PostgreSQL. */
import { closedLoop } from '../load.ts';
import { singleQuestions } from '../questions.ts';
import { figure, type Row, ratios, shown } from '../report.ts';
import { median } from '../statistics.ts';
import type { Bench } from '../surroundings.ts';
import type { Target } from '../targets.ts';
import { CONNECTIONS } from './throughput.ts';

/** What is measured on the core of this process too would only get its pauses. */
export const workers = (bench: Bench): Promise<Row[]> => bench.cores.standingBack(() => compare(bench));

async function compare(bench: Bench): Promise<Row[]> {
  const { plan, cores } = bench;
  const anywhere = cores.both === undefined ? {} : { core: cores.both };
  const one = await bench.startService({ WORKERS: '1' }, anywhere);
  const two = await bench.startService({ WORKERS: '2' }, anywhere);
  const load = (target: Target, seconds: number) =>
    closedLoop(target, singleQuestions, { connections: CONNECTIONS, seconds });
  for (const target of [one, two]) await load(target, plan.warmUpSeconds);

  const rates = { one: [] as number[], two: [] as number[] };
  for (let round = 0; round < Math.ceil(plan.rounds / 3); round++) {
    for (const [name, target] of [['one', one] as const, ['two', two] as const]) {
      await bench.drained();
      const { answers, seconds } = await load(target, plan.seconds);
      rates[name].push(answers / seconds);
    }
  }
  return [
    figure('WORKERS=2, of WORKERS=1', ratios(rates.two, rates.one), {
      unit: 'x',
      note: `${shown(median(rates.two), '/s')} against ${shown(median(rates.one), '/s')}; load generator and PostgreSQL on the same two cores`,
    }),
  ];
}
