/**
 * The one job that turns predictions and labels into what is known of them. Its steps are bounded and may be ended anywhere: what
 * a step has done stays, and the next run goes on from there. Whoever runs it holds the lock, so that it is done once.
 *
 *     every minute    labels that came before their predictions are joined; cells of live quality that changed are computed anew
 *     every hour      hours that are over are counted, intervals recalibrated, alarms looked at
 */
import type { Contract } from '../contract/contract.ts';
import type { Pool, Queryable } from '../database/pool.ts';
import { joinPending } from '../ground-truth/pending.ts';
import type { Log } from '../log.ts';
import { standingsOf } from '../registry/version-catalogue.ts';
import { type Look, readAlarms, recordLook } from './alarms.ts';
import { alarmingOf, readDrift } from './drift-report.ts';
import { collectHistograms, startOfHour } from './feature-histograms.ts';
import { recalibrate } from './interval-quantiles.ts';
import { LEVEL, readCells, recomputeCells, type StoredCell } from './live-quality.ts';
import { createMonitoredVersions } from './monitored-versions.ts';
import { coverageOf, measuresOf } from './quality-measures.ts';
import { dayAt, onlyMature } from './quality-report.ts';

export interface MonitoringContext {
  pool: Pool;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
  log: Pick<Log, 'info' | 'warn'>;
}

/** Alarms are about the predictions of so many days. */
const DAYS = 7;
/** Maturity is judged by the labels of so many. */
const DAYS_OF_LABELS = 30;
/** Fewer labels are shown, and no reason for an alarm. */
const FEWEST_FOR_QUALITY = 100;
const FEWEST_FOR_COVERAGE = 200;
/** Over changed cells, in a minute. */
const MOST_PASSES = 20;
/** How much larger than in cross-validation the RMSE may be. */
const TOLERATED = 1.1;
/** How much below its level the coverage may be; chance alone makes one or two hundredths of 506 rows. */
const MISSING_COVERAGE = 0.03;

const HOURLY = 'job:hourly';
const HISTOGRAMS = 'job:histograms';

export async function runMinutely({ pool, shipped }: MonitoringContext, now: Date): Promise<void> {
  await joinPending(pool, now);
  for (let pass = 0; pass < MOST_PASSES; pass++) if ((await recomputeCells(pool, now, shipped)) === 0) break;
}

/** Does nothing where the hour has been done already. */
export async function runHourly({ pool, shipped, log }: MonitoringContext, now: Date): Promise<boolean> {
  const hour = startOfHour(now);
  const done = await lastDone(pool, HOURLY);
  // A clock that was ahead for a while has left a time that is yet to come.
  if (done && done >= hour && done <= now) return false;
  const versions = createMonitoredVersions(pool, shipped);
  const collectedUntil = await lastDone(pool, HISTOGRAMS);
  await noteDone(pool, HISTOGRAMS, await collectHistograms(pool, { now, collectedUntil, versions, log }));
  const cells = await readCells(pool, dayAt(now, 1 - DAYS_OF_LABELS), dayAt(now, 0));
  for (const version of new Set(cells.map(({ pipeline_version }) => pipeline_version))) {
    const known = await versions(version);
    if (known) await recalibrate(pool, known, now);
  }
  await lookAtAlarms({ pool, log, cells, now });
  await lookAtDrift({ pool, shipped, log }, now);
  await noteDone(pool, HOURLY, hour);
  return true;
}

interface Evidence extends Pick<MonitoringContext, 'pool' | 'log'> {
  cells: readonly StoredCell[];
  now: Date;
}

/** Looks at every version of which there are labels, and at those whose alarm has yet to end. */
async function lookAtAlarms({ pool, log, cells, now }: Evidence): Promise<void> {
  const mature = onlyMature(cells, now).filter(({ day }) => day >= dayAt(now, 1 - DAYS));
  const alarmed = (await readAlarms(pool)).filter(({ state }) => state !== 'ok');
  const names = [
    ...cells.map(({ pipeline_version }) => pipeline_version),
    ...alarmed.flatMap(({ subject }) => subject.split(':')[1]!),
  ];
  for (const { version, cv_rmse } of await standingsOf(pool, [...new Set(names)], now)) {
    const ofVersion = mature.filter(({ pipeline_version }) => pipeline_version === version);
    const { labels = 0, rmse = null, rmse_lower = null } = measuresOf(ofVersion) ?? {};
    const isWorse = rmse_lower !== null && cv_rmse !== null && rmse_lower > TOLERATED * cv_rmse;
    const quality = { labels, rmse, rmse_lower, cv_rmse };
    await look({ pool, log, now }, `quality:${version}`, {
      ...{ holds: labels >= FEWEST_FOR_QUALITY && isWorse, value: rmse, detail: quality },
    });
    const coverage = coverageOf(ofVersion, LEVEL);
    const isLow = coverage !== null && coverage.upper < LEVEL - MISSING_COVERAGE;
    await look({ pool, log, now }, `coverage:${version}`, {
      ...{
        holds: labels >= FEWEST_FOR_COVERAGE && isLow,
        value: coverage?.share ?? null,
        detail: { ...coverage, labels },
      },
    });
  }
}

/** One alarm for all features of a version. Drift alone retrains and promotes nothing: it may matter little. */
async function lookAtDrift({ pool, shipped, log }: MonitoringContext, now: Date): Promise<void> {
  const { versions } = await readDrift(pool, { now, shipped });
  for (const { version, prediction, features } of versions) {
    const { names, isOver } = alarmingOf({ prediction, features });
    const worst = Math.max(0, ...[prediction, ...features].map(({ psi }) => psi ?? 0));
    await look({ pool, log, now }, `drift:${version}`, {
      ...{ holds: names.length > 0, isOver, value: worst, detail: { features: names } },
    });
  }
  const seen = new Set(versions.map(({ version }) => `drift:${version}`));
  for (const { subject, state } of await readAlarms(pool)) {
    if (state === 'ok' || seen.has(subject) || !subject.startsWith('drift:')) continue;
    await look({ pool, log, now }, subject, { holds: false, isOver: true, value: null, detail: { features: [] } });
  }
}

async function look(
  { pool, log, now }: Omit<Evidence, 'cells'>,
  subject: string,
  { holds, isOver = !holds, value, detail }: Omit<Look, 'isOver'> & Partial<Pick<Look, 'isOver'>>,
): Promise<void> {
  const entered = await recordLook(pool, subject, { holds, isOver, value, detail: detail ?? {} }, now);
  if (entered === 'firing') log.warn({ subject, ...detail }, 'an alarm fires');
  if (entered === 'ok') log.info({ subject, ...detail }, 'an alarm has ended');
}

async function lastDone(client: Queryable, job: string): Promise<Date | undefined> {
  const { rows } = await client.query('select since from monitoring_state where subject = $1', [job]);
  return rows[0]?.since as Date | undefined;
}

async function noteDone(client: Queryable, job: string, until: Date): Promise<void> {
  await client.query(
    `insert into monitoring_state (subject, state, since) values ($1, 'done', $2)
     on conflict (subject) do update set since = $2`,
    [job, until],
  );
}
