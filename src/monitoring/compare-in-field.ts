/** Two versions by what became of their predictions: on the days on which both answered and the truth of both is known. */
import type { Queryable } from '../database/pool.ts';
import { readCells } from './live-quality.ts';
import { measuresOf, type QualityMeasures } from './quality-measures.ts';
import { dayAt } from './quality-report.ts';

export interface FieldComparison {
  /** The first and the last of these days (UTC). */
  from: string;
  to: string;
  a: QualityMeasures;
  b: QualityMeasures;
}

const DAYS = 90;

/** Of the last 90 days; null where they share none. Both are measured on the same days, not on the same rows. */
export async function compareInField(
  client: Queryable,
  [a, b]: readonly [string, string],
  now: Date,
): Promise<FieldComparison | null> {
  const cells = await readCells(client, dayAt(now, 1 - DAYS), dayAt(now, 0));
  const of = (version: string) => cells.filter(({ pipeline_version }) => pipeline_version === version);
  const days = new Set(of(a).map(({ day }) => day));
  const shared = of(b).flatMap(({ day }) => (days.has(day) ? day : []));
  const [from, to] = [shared[0], shared.at(-1)];
  if (from === undefined || to === undefined) return null;
  const measured = (version: string) => measuresOf(of(version).filter(({ day }) => shared.includes(day)))!;
  return { from, to, a: measured(a), b: measured(b) };
}
