/** npm run schedule: retrains by RETRAIN_CRON, in a process of its own, beside any number of servers. */
import { systemClock } from '../src/clock.ts';
import { createClosers } from '../src/closers.ts';
import { loadConfig } from '../src/config.ts';
import { reasonOf } from '../src/errors.ts';
import { housing } from '../src/housing/features.ts';
import { complain, openLog } from '../src/log.ts';
import { openDatabase } from '../src/process/open-database.ts';
import { endInOrder } from '../src/process/shutdown.ts';
import { startScheduler } from '../src/retraining/scheduler.ts';
import { readCommandLine } from './command-line.ts';

readCommandLine({ name: 'schedule', usage: 'Usage: RETRAIN_CRON="0 3 * * *" npm run schedule', options: {} });

const closers = createClosers();
let ending: ReturnType<typeof endInOrder> | undefined;
try {
  const config = loadConfig();
  const { retrainCron: cron, shutdownGraceSeconds: graceSeconds } = config;
  if (!cron) {
    complain('RETRAIN_CRON is not set. Set five cron fields in UTC, such as RETRAIN_CRON="0 3 * * *".');
    process.exit(2);
  }
  const { log } = openLog(config.logLevel);
  for (const warning of config.warnings) log.warn({}, warning);
  ending = endInOrder({ closers, graceSeconds, drainSeconds: 0, log });
  const { url: databaseUrl } = await closers.open(openDatabase({ ...config, signal: ending.signal }), (database) =>
    database.close(),
  );
  ending.signal.throwIfAborted();
  const { retrainData: data, retrainPromote: promote } = config;
  closers.push(startScheduler({ cron, data, promote, databaseUrl, shipped: housing, clock: systemClock, log }).close);
} catch (error) {
  // A start that a signal has ended has not failed; the shutdown exits.
  if (!ending?.signal.aborted) {
    complain(`The scheduler cannot start. ${reasonOf(error)}`);
    process.exit(1);
  }
}
