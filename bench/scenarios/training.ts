/** The whole training command on the 506 rows: start, read, cross-validate, fit, export, compare, publish. */
import { figure, type Row } from '../report.ts';
import type { Bench } from '../surroundings.ts';

export async function training(bench: Bench): Promise<Row[]> {
  const seconds: number[] = [];
  for (let round = 0; round < bench.plan.rounds; round++) seconds.push((await bench.train()).seconds);
  return [figure('training: 506 rows, whole command', seconds, { unit: 's', atMost: 1 })];
}
