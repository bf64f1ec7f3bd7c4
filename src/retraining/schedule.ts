/**
 * Retraining by cron. Each run is a child process: its own heap, a time limit, and a crash that leaves the server alone.
 * However many schedulers run on one database, a minute is trained once (the first to claim its row) and one training
 * runs at a time (an advisory lock); whoever skips says so in the log.
 */
import { execFile } from 'node:child_process';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { schedule } from 'node-cron';
import { projectRoot } from '../config.ts';
import { reasonOf } from '../errors.ts';
import { newestAlpha, type Queryable } from '../registry/pipeline-versions.ts';
import { claimSlot, finishRun } from './runs.ts';

export interface RetrainingOptions {
  /** Five cron fields, read in UTC. */
  cron: string;
  database: Queryable;
  /** Runs its argument while no other session holds the lock; undefined when one does. */
  exclusively: <Result>(work: () => Promise<Result>) => Promise<Result | undefined>;
  /** Trains and publishes; resolves with the version. Aborting the signal ends the training. */
  train: (options: { alpha: number | undefined; signal: AbortSignal }) => Promise<string>;
  log: Record<'debug' | 'info' | 'warn' | 'error', (fields: object, message: string) => void>;
}

/** A training takes a second; one that has not ended by then hangs. */
const TIME_LIMIT_MS = 15 * 60_000;

/** Starts the schedule; `close` ends it and a training under way. */
export function startRetraining({ cron, database, exclusively, train, log }: RetrainingOptions) {
  const closing = new AbortController();
  let underWay: Promise<void> | undefined;

  async function run(slot: Date): Promise<void> {
    try {
      const done = await exclusively(async () => {
        if (!(await claimSlot(database, slot))) return 'claimed elsewhere';
        await trainFor(slot);
        return 'trained';
      });
      // No warning: it is what one of several schedulers that run at the same time is for.
      if (done === undefined) log.info({ slot }, 'retraining is skipped: another training is under way');
      if (done === 'claimed elsewhere')
        log.info({ slot }, 'retraining is skipped: another scheduler has taken this run');
    } catch (error) {
      log.error({ slot, reason: reasonOf(error) }, 'retraining is skipped: the database cannot be used');
    }
  }

  async function trainFor(slot: Date): Promise<void> {
    log.info({ slot }, 'retraining begins');
    try {
      const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(TIME_LIMIT_MS)]);
      // Whoever chose another penalty than the default chose it for the versions to come as well.
      const pipelineVersion = await train({ alpha: await newestAlpha(database), signal });
      await finishRun(database, slot, { pipelineVersion });
      log.info({ slot, pipelineVersion }, 'retraining has published a version');
    } catch (error) {
      log.error({ slot, reason: reasonOf(error) }, 'retraining failed; what is served stays');
      await finishRun(database, slot, { failure: reasonOf(error) });
    }
  }

  const task = schedule(
    cron,
    async ({ date }) => {
      const slot = new Date(Math.floor(date.getTime() / 60_000) * 60_000);
      underWay = run(slot);
      await underWay;
    },
    {
      name: 'retraining',
      timezone: 'UTC',
      noOverlap: true,
      logger: {
        debug: (message) => log.debug({}, `cron: ${message}`),
        info: (message) => log.info({}, `cron: ${message}`),
        warn: (message) => log.warn({}, `cron: ${message}`),
        error: (message) => log.error({ reason: reasonOf(message) }, 'cron failed'),
      },
    },
  );
  task.on('execution:overlap', () => log.warn({}, 'retraining is skipped: the run before it has not ended'));
  log.info({ cron, nextRun: task.getNextRun() }, 'retraining is scheduled (UTC)');

  return {
    async close() {
      // First what must not outlive us: the rest may wait for the database.
      closing.abort(new Error('the scheduler is shutting down'));
      await task.destroy();
      await underWay;
    },
  };
}

const run = promisify(execFile);

/** Runs the train command in a process of its own, as this one runs: the same Node, the same flags, src or dist. */
export const trainInChildProcess: RetrainingOptions['train'] = async ({ alpha, signal }) => {
  const script = join(projectRoot, extname(import.meta.url) === '.ts' ? 'scripts/train.ts' : 'dist/scripts/train.js');
  try {
    const options = ['--json', '--by', 'schedule', '--reason', 'retraining by cron'];
    if (alpha !== undefined) options.push('--alpha', String(alpha));
    const { stdout } = await run(process.execPath, [...process.execArgv, script, ...options], {
      signal,
      killSignal: 'SIGKILL',
    });
    return (JSON.parse(stdout.trim().split('\n').at(-1)!) as { version: string }).version;
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    if (signal.aborted) throw signal.reason;
    throw new Error(stderr?.trim() || reasonOf(error));
  }
};
