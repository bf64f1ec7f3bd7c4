/**
 * The process. It reads the settings, opens and prepares the database, serves, and ends in order. With WORKERS above 1
 * the primary serves through that many processes which share its port, and looks after them.
 */
import cluster from 'node:cluster';
import { join } from 'node:path';
import { type App, createApp } from './app.ts';
import { type Closers, createClosers } from './closers.ts';
import { type Config, loadConfig } from './config.ts';
import { tellable } from './errors.ts';
import { housing } from './housing/features.ts';
import { complain, type OpenLog, openLog } from './log.ts';
import { listen, urlOf } from './process/listen.ts';
import { openDatabase } from './process/open-database.ts';
import { prepareNowOrLater } from './process/prepare.ts';
import { type Ending, endInOrder } from './process/shutdown.ts';
import { welcome } from './process/welcome.ts';
import { obeyPrimary, reportToPrimary, startWorkers } from './process/workers.ts';
import { tuneForServing } from './runtime.ts';

/** The app's share of the grace; an embedded database needs little of it. */
const APP_SHARE = 0.8;

interface Context extends Pick<OpenLog, 'log' | 'print'> {
  config: Config;
  closers: Closers;
  ending: Ending;
}

async function runPrimary({ config, closers, ending, log, print }: Context): Promise<void> {
  const onProgress = (message: string) => log.info({}, message);
  const opening = openDatabase({ ...config, signal: ending.signal, onProgress });
  const { url: databaseUrl } = await closers.open(opening, (database) => database.close());
  ending.signal.throwIfAborted();
  closers.push(await prepareNowOrLater(databaseUrl, { modelsDir: config.modelsDir, log }));
  ending.signal.throwIfAborted();

  let port: number;
  let served: ReturnType<App['served']>;
  if (config.workers > 1) {
    const workers = startWorkers({ count: config.workers, databaseUrl, log });
    closers.push(workers.close);
    ending.departBy(workers);
    ({ port } = await workers.address);
  } else {
    const app = await openApp(databaseUrl, { config, closers, ending, log, print });
    ({ port } = await listen(app.http, config));
    served = app.served();
  }
  ending.signal.throwIfAborted();
  const url = urlOf(config.host, port);
  log.info({ url, pipelineVersion: served?.pipelineVersion }, 'listening');
  if (!config.production) print(welcome(url, config, served));

  if (config.retrainCron) {
    const { startScheduler } = await import('./retraining/scheduler.ts');
    const scheduler = startScheduler({ cron: config.retrainCron, databaseUrl, shipped: housing, log });
    closers.push(scheduler.close);
  }
}

/** A worker is handed the database by its primary, which has prepared it. */
async function runWorker(databaseUrl: string, context: Context): Promise<void> {
  obeyPrimary(context.ending);
  const app = await openApp(databaseUrl, context);
  await listen(app.http, context.config);
}

async function openApp(databaseUrl: string, { config, closers, ending, log }: Context): Promise<App> {
  const opening = createApp({ config, databaseUrl, spoolRoot: join(config.dataDir, 'spool'), log });
  const app = await closers.open(opening, ({ close }, withinMs) => close(withinMs), APP_SHARE);
  ending.signal.throwIfAborted();
  ending.departBy({ leave: ({ drainMs }) => app.drain(drainMs) });
  return app;
}

/** Tells whoever started the process; a worker tells its primary. */
async function failToStart(error: unknown, log: OpenLog['log'] | undefined): Promise<never> {
  log?.debug({ err: error }, 'start failed');
  if (cluster.isWorker) await reportToPrimary(error);
  else complain(`Ridgeline cannot start. ${tellable(error)}`);
  process.exit(1);
}

tuneForServing();
let log: OpenLog['log'] | undefined;
try {
  const config = loadConfig();
  const opened = openLog(config.logLevel);
  log = opened.log;
  if (!cluster.isWorker) for (const warning of config.warnings) log.warn({}, warning);
  const closers = createClosers();
  const ending = endInOrder({
    closers,
    graceSeconds: config.shutdownGraceSeconds,
    drainSeconds: config.drainSeconds,
    log,
  });
  const context = { config, closers, ending, log, print: opened.print };
  await (cluster.isWorker ? runWorker(config.databaseUrl!, context) : runPrimary(context)).catch(
    async (error: unknown) => {
      // A start that a signal has ended has not failed; the shutdown exits.
      if (ending.signal.aborted) return new Promise(() => undefined);
      await closers.closeAll(config.shutdownGraceSeconds * 1000);
      throw error;
    },
  );
} catch (error) {
  await failToStart(error, log);
}
