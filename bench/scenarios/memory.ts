/** Resident memory while a new process answers a million predictions, one row each, and then a million more. */
import type { Bench } from '../environment.ts';
import { closedLoop } from '../load.ts';
import { figure, type Row } from '../report.ts';
import { singleRequests } from '../requests.ts';
import { residentMegabytes } from '../targets.ts';
import { CONNECTIONS } from './throughput.ts';

export async function memory(bench: Bench): Promise<Row[]> {
  const limit = bench.plan.quick ? 50_000 : 1_000_000;
  const target = await bench.startService();
  const load = () => closedLoop(target, singleRequests, { connections: CONNECTIONS, seconds: 600, limit });
  // In the first million V8 is still finding out how large a heap it needs.
  await load();
  const after = residentMegabytes(target.pid);
  await load();
  const growth = ((residentMegabytes(target.pid) - after) * 1e6) / limit;
  const count = limit.toLocaleString('en-US');
  return [
    figure(`RSS after ${count} predictions`, [after], { unit: 'MB', atMost: 180 }),
    // A leak of 20 bytes an answer would show.
    figure(`RSS: growth in the next ${count}, a million predictions`, [growth], { unit: 'MB', atMost: 20 }),
  ];
}
