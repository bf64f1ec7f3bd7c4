/**
 * The story of the demo: callers ask, truths come late, the world changes, the service notices, learns and recovers. All of it
 * through the service and its jobs as they are, hour by hour on a simulated clock.
 */
import type { SimulatedClock } from '../src/clock.ts';
import type { Pool } from '../src/database/pool.ts';
import { pairedTest } from '../src/gate/paired-test.ts';
import { answersOf } from '../src/inference/artefact-answers.ts';
import { runHourly, runMinutely } from '../src/monitoring/job.ts';
import { type Champion, readChampion } from '../src/registry/champion.ts';
import type { NewGateEntry } from '../src/registry/gate-decisions.ts';
import { isShadowDue, judgeChallengers } from '../src/retraining/challengers.ts';
import { holdoutOf, MOST_LABELLED, readLabelledRows } from '../src/retraining/labelled-rows.ts';
import type { ShippedRows } from '../src/retraining/training-plan.ts';
import { runTraining } from '../src/retraining/training-run.ts';
import { createCallers } from './demo-callers.ts';
import { CHANGE_DAYS, type World } from './demo-world.ts';

export interface StoryOptions {
  /** Of the service. */
  url: string;
  pool: Pool;
  /** The service's own. */
  clock: SimulatedClock;
  modelsDir: string;
  shipped: ShippedRows;
  world: World;
  /** How many houses are asked about in an hour of the first day; each day it is a few more. */
  callersAnHour: number;
  /** How long it goes on, and after which day the world begins to change. */
  days: number;
  changesAfterDay: number;
  say: (line: string) => void;
}

/** How good the service was on some days, by the truths of their predictions. */
export interface Period {
  labels: number;
  rmse: number;
  /** The share of truths inside of their 90 % interval. */
  covered: number;
}

export interface Story {
  before: Period;
  /** The last days of the change. */
  changing: Period;
  /** The last days of all. */
  after: Period;
  /** Of the same days: what the RMSE of the version would be that was served at first. */
  withoutLearning: number;
  /** How often nightly trainings, and later looks at what they had published, were decided so. */
  trainings: Record<string, number>;
  looks: Record<string, number>;
  /** Kinds of alarms, in the order in which they fired first. */
  alarms: string[];
  answered: number;
  stored: number;
  truths: number;
}

const HOUR_MS = 3_600_000;
const HOURS = 24;
const HOUR_OF_TRAINING = 3;
const MORE_CALLERS_A_DAY = 3;
/** In a period that is told of. */
const DAYS = 3;

export async function tellStory(options: StoryOptions): Promise<Story> {
  const { pool, clock, shipped, world, callersAnHour, days, changesAfterDay, say } = options;
  const start = clock.now();
  const first = (await readChampion(pool, shipped.contract))!;
  const callers = createCallers({ url: options.url, clock, world });
  const [trainings, looks]: Record<string, number>[] = [{}, {}];
  const alarms: string[] = [];
  const log = {
    info: () => undefined,
    warn(fields: { subject?: string; features?: string[] }, message: string) {
      const kind = fields.subject?.split(':')[0];
      if (kind === undefined) throw new Error(message);
      if (alarms.includes(kind)) return;
      alarms.push(kind);
      say(
        `${when(start, clock.now())}  ALARM ${kind}: ${ALARMS[kind]}${fields.features ? ` (${fields.features.join(', ')})` : ''}`,
      );
    },
  };

  for (let hour = 0; hour < days * HOURS; hour++) {
    const now = clock.now();
    const day = Math.floor(hour / HOURS);
    if (hour === changesAfterDay * HOURS)
      say('\n  Rooms become dear: within a week what one adds to a price doubles.\n');
    await callers.ask(callersAnHour + day * MORE_CALLERS_A_DAY);
    await callers.tellTruths();
    await runMinutely({ pool, shipped: shipped.contract, log }, now);
    await runHourly({ pool, shipped: shipped.contract, log }, now);
    if (hour % HOURS === HOUR_OF_TRAINING) {
      const { decision, gate } = await trainNightly(options);
      count(trainings, decision);
      say(`${when(start, now)}  training ${decision}${gate ? `: ${numbersOf(gate)}` : ''}`);
    }
    const shadow = { pool, shipped: shipped.contract, now, promotes: true };
    for (const gate of (await isShadowDue(shadow)) ? await judgeChallengers(shadow) : []) {
      count(looks, gate.decision);
      if (gate.decision !== 'held') say(`${when(start, now)}  challenger ${gate.decision}: ${numbersOf(gate)}`);
    }
    await callers.waitUntilServed(pool);
    await callers.waitUntilStored();
    clock.advance(HOUR_MS);
    if (hour % HOURS === HOURS - 1 && day > 0) say(lineOfDay(day, await periodOf(pool, start, [day - 1, day])));
  }
  const changed = changesAfterDay + CHANGE_DAYS;
  return {
    before: await periodOf(pool, start, [0, changesAfterDay - 1]),
    changing: await periodOf(pool, start, [changed - DAYS, changed - 1]),
    after: await periodOf(pool, start, [days - DAYS, days - 1]),
    withoutLearning: await rmseOf(first, pool, new Date(clock.now().getTime() - DAYS * HOURS * HOUR_MS)),
    ...{ trainings: trainings!, looks: looks!, alarms },
    ...callers.counts(),
    stored: await countStored(pool),
  };
}

const ALARMS: Record<string, string> = {
  quality: 'errors are clearly larger than in training',
  coverage: 'intervals hold fewer truths than they say',
  drift: 'requests are not like the training data',
};

function count(counts: Record<string, number> | undefined, what: string): void {
  counts![what] = (counts![what] ?? 0) + 1;
}

/** As a schedule does it with RETRAIN_DATA=labelled and RETRAIN_PROMOTE=gate, which are the defaults. */
async function trainNightly({ pool, clock, modelsDir, shipped }: StoryOptions) {
  const outcome = await runTraining(
    { alpha: 1, seed: 0, labelled: true, promote: 'gate', promotedBy: 'schedule', reason: 'retraining by cron' },
    { withPool: (work) => work(pool), shipped, modelsDir, now: clock.now() },
  );
  return outcome!;
}

function numbersOf({ reason, n, challenger_rmse, champion_rmse, p_better, alpha }: NewGateEntry): string {
  if (challenger_rmse === null || p_better === null) return reason.replaceAll('_', ' ');
  const p = p_better < 0.0001 ? 'p < 0.0001' : `p ${p_better.toFixed(4)}`;
  const against = `RMSE ${challenger_rmse.toFixed(2)} against ${champion_rmse!.toFixed(2)} on ${n} new truths`;
  return `${reason.replaceAll('_', ' ')}, ${against}, ${p} at ${alpha!.toFixed(3)}`;
}

const dayNamed = (day: number) => `day ${String(day + 1).padStart(2)}`;

function when(start: Date, now: Date): string {
  const hours = Math.floor((now.getTime() - start.getTime()) / HOUR_MS);
  return `${dayNamed(Math.floor(hours / HOURS))} ${now.toISOString().slice(11, 16)}`;
}

function lineOfDay(day: number, { rmse, covered }: Period): string {
  const bar = '='.repeat(Math.round(rmse * 5)).padEnd(36);
  return `${dayNamed(day)} 24:00  ${bar} RMSE ${rmse.toFixed(2)}, 90 % intervals hold ${percent(covered)}`;
}

export const percent = (share: number) => `${Math.round(100 * share)} %`;

/** From the first of these days to the last, by the truths that have come. */
async function periodOf(pool: Pool, start: Date, days: readonly [first: number, last: number]): Promise<Period> {
  const dates = days.map((day) => new Date(start.getTime() + day * HOURS * HOUR_MS).toISOString().slice(0, 10));
  const { rows } = await pool.query(
    `select sum(labels)::int as labels, sqrt(sum(labels * rmse * rmse) / sum(labels)) as rmse,
       sum(labels * coverage) / sum(labels) as covered
     from pipeline_quality where day between $1 and $2 and labels > 0`,
    dates,
  );
  return rows[0] as Period;
}

/** Of a version on all rows with truths that were answered later, whichever version has answered them. */
async function rmseOf({ artefact, contract }: Champion, pool: Pool, after: Date): Promise<number> {
  const rows = await readLabelledRows(pool, { contract, shipped: contract, after, limit: MOST_LABELLED });
  const { X, actuals } = holdoutOf(rows, contract);
  return pairedTest(actuals, answersOf(artefact, contract, X), actuals).championRmse!;
}

async function countStored(pool: Pool): Promise<number> {
  const { rows } = await pool.query('select count(*)::int as rows from predictions');
  return rows[0].rows as number;
}
