/** Resident memory while a new process answers a million predictions, one row each, and then a million more. */
import { closedLoop } from '../load.ts';
import { residentMegabytes } from '../processes.ts';
import { singleQuestions } from '../questions.ts';
import { figure, type Row, shown } from '../report.ts';
import { slope } from '../statistics.ts';
import type { Bench } from '../surroundings.ts';
import { CONNECTIONS } from './throughput.ts';

const SAMPLE_EVERY_MS = 100;
/** Flat means less than this for each further million; a leak of 20 bytes an answer would show. */
const FLAT_MB_PER_MILLION = 20;

export async function memory(bench: Bench): Promise<Row[]> {
  const predictions = bench.plan.quick ? 50_000 : 1_000_000;
  const target = await bench.startService();
  const samples: { x: number; y: number }[] = [];
  const sample = () => samples.push({ x: target.answeredRows / 1e6, y: residentMegabytes(target.pid) });
  const sampling = setInterval(sample, SAMPLE_EVERY_MS);
  const load = () => closedLoop(target, singleQuestions, { connections: CONNECTIONS, questions: predictions });
  await load();
  sample();
  const after = samples.at(-1)!.y;
  const most = Math.max(...samples.map(({ y }) => y));
  // In the first million V8 is still finding out how large a heap it needs.
  const settled = samples.length;
  await load();
  clearInterval(sampling);
  const count = predictions.toLocaleString('en-US');
  return [
    figure(`RSS after ${count} predictions`, [after], {
      unit: 'MB',
      atMost: 180,
      note: `at most ${shown(most, 'MB')} on the way`,
    }),
    figure(`RSS: growth in the next ${count}, a million predictions`, [slope(samples.slice(settled))], {
      unit: 'MB',
      atMost: FLAT_MB_PER_MILLION,
      ...(bench.plan.quick && { note: 'says nothing in the quick form: the heap still finds its size' }),
    }),
  ];
}
