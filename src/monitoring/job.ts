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
import { lookAtDrift, lookAtQuality } from './alarm-looks.ts';
import { collectHistograms, startOfHour } from './feature-histograms.ts';
import { recalibrate } from './interval-quantiles.ts';
import { readCells, recomputeCells } from './live-quality.ts';
import { createMonitoredVersions } from './monitored-versions.ts';
import { dayAt } from './quality-report.ts';

export interface MonitoringContext {
  pool: Pool;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
  log: Pick<Log, 'info' | 'warn'>;
}

/** Of labels, in the hourly pass: alarms and recalibrations are about the newest of them. */
const DAYS_OF_LABELS = 30;
/** Over changed cells, in a minute. */
const MOST_PASSES = 20;

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
  // Where no truth has come since, the newest errors are those of the hour before.
  const changed = cells.filter(({ computed_at }) => !done || computed_at >= done);
  for (const version of new Set(changed.map(({ pipeline_version }) => pipeline_version))) {
    const known = await versions(version);
    if (known) await recalibrate(pool, known, now);
  }
  await lookAtQuality({ pool, log, now }, cells);
  await lookAtDrift({ pool, log, now }, shipped);
  await noteDone(pool, HOURLY, hour);
  return true;
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
