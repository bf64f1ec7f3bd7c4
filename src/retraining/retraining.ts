/**
 * Retraining by cron. However many schedulers run on one database, a minute is trained once (the first to claim its row)
 * and one training runs at a time (an advisory lock); a scheduler that skips a minute logs it.
 */

import { schedule, type TaskOptions } from 'node-cron';
import type { Clock } from '../clock.ts';
import type { Contract } from '../contract/contract.ts';
import type { Queryable } from '../database/pool.ts';
import { reasonOf } from '../errors.ts';
import { describeGate } from '../gate/sentence.ts';
import type { Log } from '../log.ts';
import type { JobCounts } from '../metrics/job-counts.ts';
import type { GateEntry } from '../registry/gate-decisions.ts';
import { describeHold, holdOnSchedules, newestAlpha } from '../registry/promotions.ts';
import { alternativesOf } from './cron-alternatives.ts';
import type { JudgedFit } from './judged-fit.ts';
import { pastSlotsOf } from './missed-slots.ts';
import { claimSlot, endAbandonedRuns, finishRun, newestSlot, type RunEnd, recordMissed } from './runs.ts';
import { checkShippedRowsFit } from './shipped-rows.ts';

export interface RetrainingOptions {
  /** Five cron fields, read in UTC. */
  cron: string;
  database: Queryable;
  /** The contract of the rows that ship. */
  shipped: Contract;
  /** Whether it learns from labelled predictions too. */
  data: 'labelled' | 'shipped';
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
export interface Training extends Pick<JudgedFit, 'decision'> {
  /** Null where there was nothing new to publish. */
  version: string | null;
  /** In a word. */
  reason: string;
  /** The test behind it, if there was one. */
  gate: GateEntry | null;
  /** Why nothing was trained, where nothing was. */
  detail?: string;
}

type DoneRun = RunEnd & { outcome: Exclude<RunEnd['outcome'], 'failed'> };

function saidOf({ outcome, pipelineVersion }: DoneRun): string {
  switch (outcome) {
    case 'promoted':
      return 'retraining has published a version';
    case 'published':
      return 'retraining has published a version, and not promoted it';
    case 'rejected':
      return 'retraining has published a version that is worse than what is served, and not promoted it';
    case 'unchanged':
      return 'retraining has nothing new to publish';
    case 'held':
      return pipelineVersion === undefined
        ? 'retraining holds, and trains nothing'
        : 'retraining has published a version that is held';
  }
}

/** Another scheduler may be about to take a slot that is no older. */
const STILL_DUE_MS = 2 * 60_000;
/** A training takes a second; one that has not ended by then hangs. */
const TIME_LIMIT_MS = 15 * 60_000;
const TOO_LONG = 'It had not ended after 15 minutes, and was killed.';
/** What is to be said of a training that no test has decided. */
const WITHOUT_GATE: Partial<Record<Training['decision'], string>> = {
  unchanged: 'The same rows have given the bytes of a version that is served or held.',
};

/** Starts the schedule; `close` ends it and a training under way. */
export function startRetraining(options: RetrainingOptions) {
  const { cron, database, exclusively, clock, jobs, log } = options;
  const closing = new AbortController();
  let underWay: Promise<void> | undefined;
  let lastSlot: number | undefined;
  let looking: Promise<void> = Promise.resolve();
  const noteMissed = createMissedNotes(options);

  async function run(slot: Date): Promise<void> {
    try {
      await noteMissed(slot);
      const done = await exclusively(async () => {
        const abandoned = await endAbandonedRuns(database, clock.now());
        if (abandoned > 0)
          log.warn({ abandoned }, 'a retraining was never ended, as its scheduler was; it counts as failed');
        if (!(await claimSlot(database, slot, { cron, now: clock.now() }))) return 'claimed elsewhere';
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
      const end = (await endWhereHeld(database)) ?? (await trainNow(options, slot, closing.signal));
      await finishRun(database, slot, { ...end, now: clock.now() });
      jobs?.ran('retraining', { doneAt: clock.now() });
      log.info({ slot, ...end }, saidOf(end));
    } catch (error) {
      jobs?.ran('retraining', 'failed');
      log.error({ slot, reason: reasonOf(error) }, 'retraining failed; what is served stays');
      await finishRun(database, slot, { outcome: 'failed', detail: reasonOf(error), now: clock.now() });
    }
  }

  async function runWhenDue(date: Date): Promise<void> {
    const slot = new Date(Math.floor(date.getTime() / 60_000) * 60_000);
    // A day that meets both fields of an "or" is named twice.
    if (slot.getTime() === lastSlot) return;
    lastSlot = slot.getTime();
    if (underWay !== undefined) {
      log.warn({ slot }, 'retraining is skipped: the run before it has not ended');
      const detail = 'The run before it had not ended.';
      await recordMissed(database, { slots: [slot], cron, detail, now: clock.now() }).catch(() => undefined);
      return;
    }
    underWay = run(slot);
    await underWay;
    underWay = undefined;
  }

  const taskOptions: TaskOptions = {
    name: 'retraining',
    timezone: 'UTC',
    logger: {
      debug: (message) => log.debug({}, `cron: ${message}`),
      info: (message) => log.info({}, `cron: ${message}`),
      warn: (message) => log.warn({}, `cron: ${message}`),
      error: (message) => log.error({ reason: reasonOf(message) }, 'cron failed'),
    },
  };
  const tasks = alternativesOf(cron).map((fields) => schedule(fields, ({ date }) => runWhenDue(date), taskOptions));
  const nextRuns = tasks.flatMap((task) => task.getNextRun() ?? []);
  const nextRun = nextRuns.toSorted((a, b) => a.getTime() - b.getTime())[0];
  log.info({ cron, nextRun }, 'retraining is scheduled (UTC)');
  // What a sleep of the machine has left out is known at its end, not at the next slot.
  function look(): void {
    const until = new Date(clock.now().getTime() - STILL_DUE_MS);
    // A database that is away is told of by the next run, which looks again.
    looking = looking.then(() => noteMissed(until)).catch(() => undefined);
  }
  for (const task of tasks) task.on('execution:missed', look);
  look();
  // And once more when what was still due is over.
  const lookingAgain = setTimeout(look, STILL_DUE_MS + 60_000).unref();

  return {
    async close() {
      // First the child, which must not outlive us: the rest may wait for the database.
      closing.abort(new Error('the scheduler is shutting down'));
      clearTimeout(lookingAgain);
      for (const task of tasks) await task.destroy();
      await underWay;
      await looking;
    },
  };
}

/** A person has chosen what is served: nothing is trained that would not be promoted. */
async function endWhereHeld(database: Queryable, pipelineVersion?: string): Promise<DoneRun | undefined> {
  const hold = await holdOnSchedules(database);
  return hold && { outcome: 'held', pipelineVersion, detail: describeHold(hold) };
}

async function trainNow(
  { database, shipped, data, train, log }: RetrainingOptions,
  slot: Date,
  closing: AbortSignal,
): Promise<DoneRun> {
  log.info({ slot }, 'retraining begins');
  if (data === 'shipped') await checkShippedRowsFit(database, shipped);
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(new Error(TOO_LONG)), TIME_LIMIT_MS);
  const signal = AbortSignal.any([closing, limit.signal]);
  // Whoever chose another penalty than the default chose it for the versions to come as well.
  const alpha = await newestAlpha(database);
  const training = await train({ alpha, signal }).finally(() => clearTimeout(timer));
  const { version, decision, reason, gate } = training;
  const published = { pipelineVersion: version ?? undefined, gateId: gate?.gate_id };
  const detail = gate ? describeGate(gate) : (training.detail ?? WITHOUT_GATE[decision]);
  if (decision === 'not_promoted') return { outcome: 'published', ...published, detail: reason };
  // Somebody has chosen while it trained.
  const held = decision === 'held' ? await endWhereHeld(database, published.pipelineVersion) : undefined;
  return held ? { ...held, ...published } : { outcome: decision, ...published, detail };
}

/** A function that records the slots up to a time in which nothing was trained, and tells of them once. */
function createMissedNotes({ cron, database, clock, log }: RetrainingOptions): (until: Date) => Promise<void> {
  const pastSlots = pastSlotsOf(cron);
  const startedAt = clock.now();
  let checkedUntil: Date | undefined;
  return async (until) => {
    checkedUntil ??= (await newestSlot(database, cron)) ?? startedAt;
    const { slots, isCutOff } = pastSlots(checkedUntil, until);
    const detail = 'No scheduler ran then, or it could not use the database.';
    const missed = slots.length > 0 ? await recordMissed(database, { slots, cron, detail, now: clock.now() }) : 0;
    // The slot of that very time is about to be taken; where the database goes away before, it is looked at again.
    const checked = new Date(until.getTime() - 1);
    if (checked > checkedUntil) checkedUntil = checked;
    if (missed === 0) return;
    const told = { missed: isCutOff ? `at least ${missed}` : missed, from: slots[0], to: slots.at(-1) };
    log.warn(told, 'retrainings were missed');
  };
}
