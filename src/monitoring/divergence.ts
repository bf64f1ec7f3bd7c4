/**
 * How far a challenger is from what is served, before truths tell which of them is nearer: both are run on stored rows of the last
 * day. Once a day and version, kept among what monitoring remembers.
 */
import type { Column, Contract } from '../contract/contract.ts';
import type { Value } from '../contract/values.ts';
import type { Queryable } from '../database/pool.ts';
import { RidgelineError } from '../errors.ts';
import { halfWidthsOfStored, placeOfLevel } from '../inference/half-widths.ts';
import { sampledRows } from '../prediction-log/postgres/sampled-rows.ts';
import { readMonitoredVersion } from '../registry/monitored-versions.ts';
import { type AgreementOfVersions, agreementOf } from './agreement-of-versions.ts';
import { startOfHour } from './feature-histograms.ts';
import { readHalfWidths } from './interval-quantiles.ts';
import { answerSideBySide, type SideBySide } from './side-by-side.ts';

export interface Divergence extends AgreementOfVersions {
  /** What was served. */
  champion: string;
  /** How many of the rows the challenger may have learned from. */
  seen: number;
  /** How many answers are outside of the champion's interval of level 0.9; null where it has none. */
  beyond_interval_share: number | null;
}

const HOURS = 24;
const HOUR_MS = 3_600_000;
const ROWS_OF_AN_HOUR = 400;
const LEVEL = 0.9;
const KEPT_DAYS = 90;
const EVERY_MS = HOURS * HOUR_MS;

const subjectOf = (version: string) => `divergence:${version}`;

/** Of these challengers those whose divergence was not measured in the last day. */
export async function dueDivergences(client: Queryable, versions: readonly string[], now: Date): Promise<string[]> {
  const { rows } = await client.query(
    'select subject from monitoring_state where subject = any($1::text[]) and since > $2 and since <= $3',
    [versions.map(subjectOf), new Date(now.getTime() - EVERY_MS), now],
  );
  const done = new Set(rows.map(({ subject }) => subject));
  return versions.filter((version) => !done.has(subjectOf(version)));
}

export interface DivergenceOptions {
  champion: string;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
  now: Date;
}

/** Measures and keeps it; of no rows where one of the versions cannot be run. */
export async function measureDivergence(
  client: Queryable,
  challenger: string,
  { champion, shipped, now }: DivergenceOptions,
): Promise<Divergence> {
  const through = (await readMonitoredVersion(client, challenger, shipped))?.trainedThrough ?? null;
  let seenRows = 0;
  async function read(columns: readonly Column[]): Promise<Record<string, Value>[]> {
    const rows: Record<string, Value>[] = [];
    const until = startOfHour(now).getTime();
    for (let hour = until - HOURS * HOUR_MS; hour < until; hour += HOUR_MS) {
      const sample = { from: new Date(hour), until: new Date(hour + HOUR_MS), rows: ROWS_OF_AN_HOUR };
      rows.push(...(await sampledRows(client, columns, sample)));
      if (through && sample.from <= through) seenRows = rows.length;
    }
    return rows;
  }
  const { places, a, b } = await answerSideBySide(client, [champion, challenger], { shipped, read }).catch(nothing);
  const halfWidth = await halfWidthOf(client, champion, { shipped, now });
  const beyond = a.filter((answer, i) => Math.abs(answer - b[i]!) > halfWidth!).length;
  const divergence = {
    champion,
    ...agreementOf(a, b),
    seen: places.filter((place) => place < seenRows).length,
    beyond_interval_share: halfWidth === null || a.length === 0 ? null : beyond / a.length,
  };
  await client.query(
    `insert into monitoring_state (subject, state, since, last_value, detail) values ($1, 'done', $2, $3, $4)
     on conflict (subject) do update set since = $2, last_value = $3, detail = $4`,
    [subjectOf(challenger), now, divergence.mean_absolute_difference, divergence],
  );
  // Of what has long ceased to be a challenger nobody asks.
  await client.query("delete from monitoring_state where subject ~ '^divergence:' and since < $1", [
    new Date(now.getTime() - KEPT_DAYS * EVERY_MS),
  ]);
  return divergence;
}

/** What is wrong with a version that cannot be run is told by who compares the two. */
function nothing(error: unknown): Pick<SideBySide, 'places' | 'a' | 'b'> {
  if (error instanceof RidgelineError) return { places: [], a: [], b: [] };
  throw error;
}

async function halfWidthOf(
  client: Queryable,
  version: string,
  { shipped, now }: Omit<DivergenceOptions, 'champion'>,
): Promise<number | null> {
  const place = placeOfLevel(LEVEL)!;
  const recalibrated = (await readHalfWidths(client, version, now)) as number[] | undefined;
  if (recalibrated) return recalibrated[place]!;
  const known = await readMonitoredVersion(client, version, shipped);
  return halfWidthsOfStored(known?.residuals)?.[place] ?? null;
}

/** The last one of a version, and when it was measured; undefined where it never was. */
export async function readDivergence(
  client: Queryable,
  version: string,
): Promise<(Divergence & { measuredAt: Date }) | undefined> {
  const { rows } = await client.query('select since, detail from monitoring_state where subject = $1', [
    subjectOf(version),
  ]);
  const [row] = rows;
  return row && { ...(row.detail as Divergence), measuredAt: row.since as Date };
}
