/**
 * The process. It reads the settings, opens and prepares the database, serves, and ends in order. With WORKERS above 1
 * the primary serves through that many processes which share its port, and looks after them.
 */
import cluster from 'node:cluster';
import { join } from 'node:path';
import { type Admin, openAdmin } from './admin.ts';
import { type App, createApp } from './app.ts';
import { systemClock } from './clock.ts';
import { type Closers, createClosers } from './closers.ts';
import { type Config, loadConfig } from './config.ts';
import { createPool } from './database/pool.ts';
import { createProbe } from './database/probe.ts';
import { tellable } from './errors.ts';
import { freePort } from './free-port.ts';
import { housing } from './housing/features.ts';
import type { Operations } from './http/admin.ts';
import { complain, type OpenLog, openLog } from './log.ts';
import { createJobCounts, type JobCounts } from './metrics/job-counts.ts';
import { createProcessSamples } from './metrics/process-samples.ts';
import { combine } from './metrics/samples.ts';
import { startDaily } from './process/daily.ts';
import { createDatabaseOperations } from './process/database-operations.ts';
import { createGroundTruth } from './process/ground-truth-operations.ts';
import { listen, urlOf } from './process/listen.ts';
import { startMonitoring } from './process/monitor.ts';
import { openDatabase } from './process/open-database.ts';
import { prepareNowOrLater } from './process/prepare.ts';
import { type Ending, endInOrder } from './process/shutdown.ts';
import { type Welcome, welcome } from './process/welcome.ts';
import { gatherOperations } from './process/worker-operations.ts';
import { obeyPrimary, reportToPrimary, startWorkers } from './process/workers.ts';
import { promotedContract } from './registry/stored-declaration.ts';
import { tuneForServing } from './runtime.ts';

/** The app's share of the grace; an embedded database needs little of it. */
const APP_SHARE = 0.8;

interface Context extends Pick<OpenLog, 'log' | 'print'> {
  config: Config;
  closers: Closers;
  jobs: JobCounts;
  ending: Ending;
  droppedLines: OpenLog['dropped'];
}

async function runPrimary(context: Context): Promise<void> {
  const { config, closers, ending, jobs, log, print } = context;
  const onProgress = (message: string) => log.info({}, message);
  const opening = openDatabase({ ...config, signal: ending.signal, onProgress });
  const { url: databaseUrl } = await closers.open(opening, (database) => database.close());
  ending.signal.throwIfAborted();
  closers.push(await prepareNowOrLater(databaseUrl, { modelsDir: config.modelsDir, clock: systemClock, log }));
  ending.signal.throwIfAborted();

  const serve = config.workers > 1 ? serveByWorkers : serveHere;
  const { port, adminPort, pipelineVersion, contract } = await serve(databaseUrl, context);
  ending.signal.throwIfAborted();
  const url = urlOf(config.host, port);
  const adminUrl = adminPort === undefined ? undefined : urlOf(config.adminHost, adminPort);
  log.info({ url, adminUrl, pipelineVersion }, 'listening');
  if (!config.production) print(welcome({ url, adminUrl, config, pipelineVersion, contract }));

  const { predictionsKeepMonths: keepMonths } = config;
  closers.push(startDaily({ databaseUrl, clock: systemClock, keepMonths, jobs, log }).close);
  const promotes = config.retrainPromote === 'gate';
  closers.push(startMonitoring({ databaseUrl, clock: systemClock, shipped: housing, jobs, promotes, log }).close);
  if (config.retrainCron) {
    const { startScheduler } = await import('./retraining/scheduler.ts');
    const scheduler = startScheduler({
      cron: config.retrainCron,
      data: config.retrainData,
      promote: config.retrainPromote,
      databaseUrl,
      shipped: housing,
      clock: systemClock,
      jobs,
      log,
    });
    closers.push(scheduler.close);
  }
}

interface Served extends Pick<Welcome, 'pipelineVersion' | 'contract'> {
  port: number;
  adminPort: number | undefined;
}

async function serveHere(databaseUrl: string, context: Context): Promise<Served> {
  const openAdminPort = prepareAdminPort(context);
  const app = await openApp(databaseUrl, context);
  const adminPort = await openAdminPort(app.operations);
  const { port } = await listen(app.http, context.config);
  const { pipelineVersion, contract } = app.served() ?? {};
  return { port, adminPort, pipelineVersion, contract };
}

async function serveByWorkers(databaseUrl: string, context: Context): Promise<Served> {
  const { config, closers, ending, jobs, log, droppedLines } = context;
  const onError = (err: Error) => log.debug({ err }, 'a database connection broke');
  const pool = createPool({ url: databaseUrl, onError, max: 2 });
  closers.push(() => pool.end());
  const probeDatabase = createProbe(pool);
  const ofDatabase = createDatabaseOperations({ pool, clock: systemClock, shipped: housing });
  const { predictionLog } = config;
  const groundTruth = createGroundTruth({ databaseUrl, predictionLog, clock: systemClock, log });
  closers.push(groundTruth.close);
  const processSamples = createProcessSamples({ droppedLines });
  const ownSamples = async () => combine([await processSamples(), jobs.samples()]);
  const operations = gatherOperations({ config, probeDatabase, ...ofDatabase, groundTruth, ownSamples });
  const adminPort = await prepareAdminPort(context)(operations);
  // Only the workers know what they serve, and it is nearly always this.
  const promoted = promotedContract(pool, housing).catch(() => undefined);
  const port = config.port === 0 ? await freePort() : config.port;
  const workers = startWorkers({ count: config.workers, port, databaseUrl, log });
  closers.push(workers.close);
  ending.departBy(workers);
  await workers.listens;
  return { port, adminPort, pipelineVersion: undefined, contract: await promoted };
}

/** To be called before what serves callers is opened: the admin port shows how that ends, so it is closed after it. */
function prepareAdminPort({ config, closers, log }: Context) {
  let admin: Admin | undefined;
  closers.push((withinMs) => admin?.close(withinMs));
  return async (operations: Operations): Promise<number | undefined> => {
    if (config.adminPort === undefined) return undefined;
    admin = await openAdmin({ config, operations, log });
    return admin.port;
  };
}

/** A worker is handed the database by its primary, which has prepared it. */
async function runWorker(databaseUrl: string, context: Context): Promise<void> {
  obeyPrimary(context.ending);
  const app = await openApp(databaseUrl, context);
  await listen(app.http, context.config);
}

async function openApp(
  databaseUrl: string,
  { config, closers, ending, jobs, log, droppedLines }: Context,
): Promise<App> {
  const spoolRoot = join(config.dataDir, 'spool');
  const opening = createApp({ config, databaseUrl, spoolRoot, clock: systemClock, jobs, log, droppedLines });
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
  const context = {
    config,
    closers,
    ending,
    jobs: createJobCounts(),
    log,
    print: opened.print,
    droppedLines: opened.dropped,
  };
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
