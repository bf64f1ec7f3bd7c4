/** npm run schedule: retrains by RETRAIN_CRON, in a process of its own, beside any number of servers. */
import closeWithGrace from 'close-with-grace';
import { loadConfig } from '../src/config.ts';
import { reasonOf } from '../src/errors.ts';
import { createLog } from '../src/log.ts';
import { openDatabase } from '../src/process/open-database.ts';
import { startScheduler } from '../src/retraining/scheduler.ts';
import { takeNoArguments } from './no-arguments.ts';

takeNoArguments('Usage: RETRAIN_CRON="0 3 * * *" npm run schedule');

try {
  const config = loadConfig();
  if (!config.retrainCron) {
    console.error('RETRAIN_CRON is not set. Set five cron fields in UTC, such as RETRAIN_CRON="0 3 * * *".');
    process.exit(2);
  }
  const log = createLog(config.logLevel);
  const database = await openDatabase(config);
  const scheduler = startScheduler({ cron: config.retrainCron, databaseUrl: database.url, log });
  closeWithGrace({ delay: config.shutdownGraceSeconds * 1000, logger: false }, async ({ err }) => {
    if (err) log.fatal({ err }, 'unexpected error; ending');
    else log.info({}, 'ending');
    await scheduler.close();
    await database.close();
    log.info({}, 'ended');
  });
} catch (error) {
  console.error(`The scheduler cannot start. ${reasonOf(error)}`);
  process.exitCode = 1;
}
