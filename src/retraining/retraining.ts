/**
 * Retraining by cron. However many schedulers run on one database, a minute is trained once (the first to claim its row)
 * and one training runs at a time (an advisory lock); a scheduler that skips a minute logs it.
 */

import { schedule, type TaskOptions } from 'node-cron';
import type { Clock } from '../clock.ts';
import type { Contract } from '../contract/contract.ts';
import type { Queryable } from '../database/pool.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { JobCounts } from '../metrics/job-counts.ts';
import { describeHold, holdOnSchedules, newestAlpha } from '../registry/promotions.ts';
import { alternativesOf } from './cron-alternatives.ts';
import { claimSlot, endAbandonedRuns, finishRun, type RunEnd } from './runs.ts';
import { checkShippedRowsFit } from './shipped-rows.ts';

export interface RetrainingOptions {
  /** Five cron fields, read in UTC. */
  cron: string;
  database: Queryable;
  /** The contract of the rows that ship. */
  shipped: Contract;
  /** Runs its argument while no other session holds the lock; undefined when one does. */
  exclusively: <Result>(work: () => Promise<Result>) => Promise<Result | undefined>;
  /** Trains and publishes. Aborting the signal ends the training. */
  train: (options: { alpha: number | undefined; signal: AbortSignal }) => Promise<Training>;
  clock: Clock;
  /** Where runs are counted, if anywhere. */
  jobs?: Pick<JobCounts, 'ran'> | undefined;
  log: Log;
}

/** What the command says that a training has come to. */
export interface Training {
  version: string;
  decision: 'promoted' | 'held' | 'not_promoted';
  /** In a word. */
  reason: string;
}

const SAID_OF: Record<string, string> = {
  promoted: 'retraining has published a version',
  published: 'retraining has published a version, and not promoted it',
  held: 'retraining holds, as a person has chosen what is served',
};

/** A training takes a second; one that has not ended by then hangs. */
const TIME_LIMIT_MS = 15 * 60_000;

/** Starts the schedule; `close` ends it and a training under way. */
export function startRetraining({ cron, database, shipped, exclusively, train, clock, jobs, log }: RetrainingOptions) {
  const closing = new AbortController();
  let underWay: Promise<void> | undefined;
  let lastSlot: number | undefined;

  async function run(slot: Date): Promise<void> {
    try {
      const done = await exclusively(async () => {
        const abandoned = await endAbandonedRuns(database, clock.now());
        if (abandoned > 0)
          log.warn({ abandoned }, 'a retraining was never ended, as its scheduler was; it counts as failed');
        if (!(await claimSlot(database, slot, clock.now()))) return 'claimed elsewhere';
        await trainFor(slot);
        return 'trained';
      });
      // No warning: this is normal where several schedulers run.
      if (done === undefined) log.info({ slot }, 'retraining is skipped: another training is under way');
      if (done === 'claimed elsewhere')
        log.info({ slot }, 'retraining is skipped: another scheduler has taken this run');
    } catch (error) {
      log.error({ slot, reason: reasonOf(error) }, 'retraining is skipped: the database cannot be used');
    }
  }

  async function trainFor(slot: Date): Promise<void> {
    try {
      const end = (await endWhereHeld()) ?? (await trainNow(slot));
      await finishRun(database, slot, { ...end, now: clock.now() });
      jobs?.ran('retraining', { doneAt: clock.now() });
      log.info({ slot, ...end }, SAID_OF[end.outcome]!);
    } catch (error) {
      jobs?.ran('retraining', 'failed');
      log.error({ slot, reason: reasonOf(error) }, 'retraining failed; what is served stays');
      await finishRun(database, slot, { outcome: 'failed', detail: reasonOf(error), now: clock.now() });
    }
  }

  /** A person has chosen what is served: nothing is trained that would not be promoted. */
  async function endWhereHeld(pipelineVersion?: string): Promise<RunEnd | undefined> {
    const hold = await holdOnSchedules(database);
    return hold && { outcome: 'held', pipelineVersion, detail: describeHold(hold) };
  }

  async function trainNow(slot: Date): Promise<RunEnd> {
    log.info({ slot }, 'retraining begins');
    await checkShippedRowsFit(database, shipped);
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(TIME_LIMIT_MS)]);
    // Whoever chose another penalty than the default chose it for the versions to come as well.
    const { version: pipelineVersion, decision, reason } = await train({ alpha: await newestAlpha(database), signal });
    if (decision === 'promoted') return { outcome: 'promoted', pipelineVersion };
    // Somebody has chosen while it trained.
    const held = decision === 'held' ? await endWhereHeld(pipelineVersion) : undefined;
    return held ?? { outcome: 'published', pipelineVersion, detail: reason };
  }

  async function runWhenDue(date: Date): Promise<void> {
    const slot = new Date(Math.floor(date.getTime() / 60_000) * 60_000);
    // A day that meets both fields of an "or" is named twice.
    if (slot.getTime() === lastSlot) return;
    lastSlot = slot.getTime();
    if (underWay !== undefined) return log.warn({ slot }, 'retraining is skipped: the run before it has not ended');
    underWay = run(slot);
    await underWay;
    underWay = undefined;
  }

  const options: TaskOptions = {
    name: 'retraining',
    timezone: 'UTC',
    logger: {
      debug: (message) => log.debug({}, `cron: ${message}`),
      info: (message) => log.info({}, `cron: ${message}`),
      warn: (message) => log.warn({}, `cron: ${message}`),
      error: (message) => log.error({ reason: reasonOf(message) }, 'cron failed'),
    },
  };
  const tasks = alternativesOf(cron).map((fields) => schedule(fields, ({ date }) => runWhenDue(date), options));
  const nextRuns = tasks.flatMap((task) => task.getNextRun() ?? []);
  const nextRun = nextRuns.toSorted((a, b) => a.getTime() - b.getTime())[0];
  log.info({ cron, nextRun }, 'retraining is scheduled (UTC)');

  return {
    async close() {
      // First the child, which must not outlive us: the rest may wait for the database.
      closing.abort(new Error('the scheduler is shutting down'));
      for (const task of tasks) await task.destroy();
      await underWay;
    },
  };
}
