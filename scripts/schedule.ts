/** npm run schedule: retrains by RETRAIN_CRON, in a process of its own, beside any number of servers. */
import closeWithGrace from 'close-with-grace';
import { loadConfig } from '../src/config.ts';
import { reasonOf } from '../src/errors.ts';
import { createLog } from '../src/log.ts';
import { openDatabase } from '../src/process/open-database.ts';
import { startScheduler } from '../src/retraining/scheduler.ts';
import { takeNoArguments } from './no-arguments.ts';

takeNoArguments('Usage: RETRAIN_CRON="0 3 * * *" npm run schedule');

const ending = new AbortController();
try {
  const config = loadConfig();
  if (!config.retrainCron) {
    console.error('RETRAIN_CRON is not set. Set five cron fields in UTC, such as RETRAIN_CRON="0 3 * * *".');
    process.exit(2);
  }
  const log = createLog(config.logLevel);
  const opening = openDatabase({ ...config, signal: ending.signal });
  let scheduler: { close(): Promise<void> } | undefined;
  // Before the database is there: a signal that comes while PostgreSQL is launched must not leave it running.
  closeWithGrace({ delay: config.shutdownGraceSeconds * 1000, logger: false }, async ({ err }) => {
    if (err) log.fatal({ err }, 'unexpected error; ending');
    else log.info({}, 'ending');
    ending.abort();
    await scheduler?.close();
    await opening.then(
      (database) => database.close(),
      () => undefined,
    );
    log.info({}, 'ended');
  });
  const { url } = await opening;
  if (!ending.signal.aborted) scheduler = startScheduler({ cron: config.retrainCron, databaseUrl: url, log });
} catch (error) {
  if (!ending.signal.aborted) console.error(`The scheduler cannot start. ${reasonOf(error)}`);
  process.exitCode = 1;
}
