/** What the alarms of each version are judged by, once an hour. */
import type { Contract } from '../contract/contract.ts';
import type { Pool } from '../database/pool.ts';
import type { Log } from '../log.ts';
import { standingsOf } from '../registry/version-catalogue.ts';
import { type Look, readAlarms, recordLook } from './alarms.ts';
import { alarmingOf, readDrift } from './drift-report.ts';
import { LEVEL, type StoredCell } from './live-quality.ts';
import { coverageOf, measuresOf } from './quality-measures.ts';
import { dayAt, onlyMature } from './quality-report.ts';

export interface LookContext {
  pool: Pool;
  log: Pick<Log, 'info' | 'warn'>;
  now: Date;
}

/** Alarms are about the predictions of so many days. */
const DAYS = 7;
/** Fewer labels are shown, and no reason for an alarm. */
const FEWEST_FOR_QUALITY = 100;
const FEWEST_FOR_COVERAGE = 200;
/** How much larger than in cross-validation the RMSE may be. */
const TOLERATED = 1.1;
/** How much below its level the coverage may be; chance alone makes one or two hundredths of 506 rows. */
const MISSING_COVERAGE = 0.03;

/** Looks at every version of which there are labels, and at those whose alarm has yet to end. */
export async function lookAtQuality(context: LookContext, cells: readonly StoredCell[]): Promise<void> {
  const { pool, now } = context;
  const mature = onlyMature(cells, now).filter(({ day }) => day >= dayAt(now, 1 - DAYS));
  const alarmed = (await readAlarms(pool)).filter(({ state }) => state !== 'ok');
  const names = [
    ...cells.map(({ pipeline_version }) => pipeline_version),
    ...alarmed.map(({ subject }) => subject.split(':')[1]!),
  ];
  for (const { version, cv_rmse } of await standingsOf(pool, [...new Set(names)], now)) {
    const ofVersion = mature.filter(({ pipeline_version }) => pipeline_version === version);
    await look(context, `quality:${version}`, qualityLook(ofVersion, cv_rmse));
    await look(context, `coverage:${version}`, coverageLook(ofVersion));
  }
}

function qualityLook(cells: readonly StoredCell[], cv_rmse: number | null): Look {
  const { labels = 0, rmse = null, rmse_lower = null } = measuresOf(cells) ?? {};
  const isWorse = rmse_lower !== null && cv_rmse !== null && rmse_lower > TOLERATED * cv_rmse;
  const holds = labels >= FEWEST_FOR_QUALITY && isWorse;
  return { holds, isOver: !holds, value: rmse, detail: { labels, rmse, rmse_lower, cv_rmse } };
}

function coverageLook(cells: readonly StoredCell[]): Look {
  const coverage = coverageOf(cells, LEVEL);
  const labels = cells.reduce((sum, { labelled }) => sum + labelled, 0);
  const isLow = coverage !== null && coverage.upper < LEVEL - MISSING_COVERAGE;
  const holds = labels >= FEWEST_FOR_COVERAGE && isLow;
  return { holds, isOver: !holds, value: coverage?.share ?? null, detail: { ...coverage, labels } };
}

/** One alarm for all features of a version. Drift alone retrains and promotes nothing: it may matter little. */
export async function lookAtDrift(context: LookContext, shipped: Contract): Promise<void> {
  const { pool, now } = context;
  const { versions } = await readDrift(pool, { now, shipped });
  for (const { version, prediction, features } of versions) {
    const { names, isOver } = alarmingOf({ prediction, features });
    const worst = Math.max(0, ...[prediction, ...features].map(({ psi }) => psi ?? 0));
    await look(context, `drift:${version}`, {
      holds: names.length > 0,
      isOver,
      value: worst,
      detail: { features: names },
    });
  }
  const seen = new Set(versions.map(({ version }) => `drift:${version}`));
  // Of versions that answer no more.
  for (const { subject, state } of await readAlarms(pool)) {
    if (state === 'ok' || seen.has(subject) || !subject.startsWith('drift:')) continue;
    await look(context, subject, { holds: false, isOver: true, value: null, detail: { features: [] } });
  }
}

async function look({ pool, log, now }: LookContext, subject: string, seen: Look): Promise<void> {
  const entered = await recordLook(pool, subject, seen, now);
  if (entered === 'firing') log.warn({ subject, ...seen.detail }, 'an alarm fires');
  if (entered === 'ok') log.info({ subject, ...seen.detail }, 'an alarm has ended');
}
