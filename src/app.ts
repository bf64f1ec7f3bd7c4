/**
 * The composition root. Made in dependency order: the served pipeline, the prediction log, what brings callers together, the
 * routes. Closed in the opposite order, so that nothing is taken any more when what answers it closes.
 */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { Clock } from './clock.ts';
import { type Closers, createClosers } from './closers.ts';
import type { Config } from './config.ts';
import { startPartitionUpkeep } from './database/month-partitions.ts';
import { createClient, createPool } from './database/pool.ts';
import { createProbe } from './database/probe.ts';
import { reasonOf } from './errors.ts';
import { groundTruthMonths } from './ground-truth/months.ts';
import { housing } from './housing/features.ts';
import { type Operations, registerAdminRoutes } from './http/admin.ts';
import { createAnswerCounts } from './http/plugins/answer-counts.ts';
import { registerAnswers } from './http/plugins/answers.ts';
import { registerDrain } from './http/plugins/drain.ts';
import { registerGroundTruthRoutes } from './http/routes/ground-truth.ts';
import { registerHealthRoutes } from './http/routes/health.ts';
import { registerPredictRoutes } from './http/routes/predict.ts';
import { registerStartPage, type StartPageLinks } from './http/routes/start-page.ts';
import { createRowDecoders } from './http/row-decoders.ts';
import { createHttp } from './http/server.ts';
import { loadPredictor, type Predictor } from './inference/predictor.ts';
import { createJobCounts, type JobCounts } from './metrics/job-counts.ts';
import { readHalfWidths } from './monitoring/interval-quantiles.ts';
import { predictionMonths } from './prediction-log/postgres/months.ts';
import { createPredictionsTable } from './prediction-log/postgres/predictions-table.ts';
import { createPredictionLog } from './prediction-log/prediction-log.ts';
import { recordColumns } from './prediction-log/record-columns.ts';
import { createDatabaseOperations } from './process/database-operations.ts';
import { createGroundTruth } from './process/ground-truth-operations.ts';
import { urlOf } from './process/listen.ts';
import { startMonitoringWatch } from './process/monitoring-watch.ts';
import { createOperations } from './process/operations.ts';
import { PROMOTION_CHANNEL } from './registry/promotions.ts';
import { createServedPipeline } from './registry/served-pipeline.ts';
import { startVersionListener } from './registry/version-listener.ts';
import { createRecalibration } from './serving/recalibration.ts';
import { createServing } from './serving/serving.ts';

export interface AppOptions {
  config: Config;
  databaseUrl: string;
  /** Where the spools of this and of earlier processes are. */
  spoolRoot: string;
  /** What time it is: of predictions, of the commands of operators, and of what is computed from both. */
  clock: Clock;
  /** Of the jobs that run beside the app in its process; none where they run in another one. */
  jobs?: Pick<JobCounts, 'samples'>;
  log: FastifyBaseLogger;
  /** How many lines of the log could not be written. */
  droppedLines: () => number;
  /** For tests: false has every request handled the plain way (http/fast-path/README.md). */
  fastPath?: boolean;
}

export interface App {
  http: FastifyInstance;
  /** The version that answers, if any does. */
  served(): Pick<Predictor, 'pipelineVersion' | 'contract'> | undefined;
  /** What operators are told, of all processes of the service. */
  operations: Operations;
  /** Goes on taking requests for this long, but is not ready and keeps no connection alive. */
  drain(milliseconds: number): Promise<void>;
  /** Stops taking requests, answers those that are there, stores what is left. */
  close(withinMs?: number): Promise<void>;
}

/** A request that has not arrived by then, or whose answer is not read by then, is given up. */
const UNFINISHED_MS = 2_000;
const DEFAULT_CLOSE_MS = 25_000;
const TITLE = 'Ridgeline';
/** Of the time that is left when the prediction log closes: the rest is for what closes after it. */
const SHARE_OF_PREDICTION_LOG = 0.9;

/** Rejects, with nothing left open, when a part of it cannot be opened. */
export async function createApp(options: AppOptions): Promise<App> {
  const closers = createClosers();
  try {
    return await compose(options, closers);
  } catch (error) {
    await closers.closeAll(DEFAULT_CLOSE_MS);
    throw error;
  }
}

async function compose(options: AppOptions, closers: Closers): Promise<App> {
  const {
    config,
    databaseUrl,
    spoolRoot,
    clock,
    log,
    droppedLines,
    jobs = createJobCounts(),
    fastPath = true,
  } = options;
  const onError = (err: Error) => log.debug({ err }, 'a database connection broke');
  const pool = createPool({ url: databaseUrl, onError });
  closers.push(() => pool.end());
  // Whoever changes what is served may wait for others who do: the prediction log and /health do not wait with them.
  const operatorsPool = createPool({ url: databaseUrl, onError, max: 2 });
  closers.push(() => operatorsPool.end());

  const decodersOf = createRowDecoders({ maxBatchRows: config.maxBatchRows, fastPath });
  const served = createServedPipeline({
    load(pipeline, contract) {
      // Made with the version, so that no request waits for them.
      decodersOf(contract);
      return loadPredictor(pipeline, contract);
    },
    shipped: housing,
    database: pool,
    modelsDir: config.modelsDir,
    clock,
    log,
  });
  closers.push(served.close);
  await served.refresh().catch((error: unknown) => {
    log.warn({ reason: reasonOf(error) }, 'the database cannot be read; what is in models/ serves until it can');
    if (!served.current()) log.error({ modelsDir: config.modelsDir }, 'no pipeline is there; waiting for the database');
  });

  const recalibration = createRecalibration({
    current: served.current,
    read: (version) => readHalfWidths(pool, version, clock.now()),
    log,
  });
  const listener = startVersionListener({
    createClient: () => createClient(databaseUrl),
    channel: PROMOTION_CHANNEL,
    pollSeconds: config.modelPollSeconds,
    async onChange() {
      await served.refresh();
      await recalibration.refresh();
    },
    log,
  });
  closers.push(listener.close);
  const tables = [...predictionMonths, ...groundTruthMonths];
  const upkeep = startPartitionUpkeep({ pool, tables, clock, log });
  closers.push(upkeep.close);

  const servedContract = () => served.current()?.contract;
  const predictionLog = createPredictionLog({
    mode: config.predictionLog,
    root: spoolRoot,
    fsync: config.predictionLogFsync,
    maxBytes: config.spoolMaxBytes,
    store: createPredictionsTable(pool),
    assumedColumns: recordColumns(housing),
    servedContract,
    log,
  });
  closers.push((withinMs) => predictionLog.close(withinMs * SHARE_OF_PREDICTION_LOG));

  const serving = createServing({
    predictorFor: served.forContract,
    halfWidthsOf: recalibration.halfWidthsOf,
    predictionLog,
    maxRequestRows: config.maxBatchRows,
    clock,
    log,
  });
  closers.push(serving.drain);

  const groundTruth = createGroundTruth({ databaseUrl, predictionLog: config.predictionLog, clock, log });
  closers.push(groundTruth.close);

  const counts = createAnswerCounts();
  const http = createHttp({ bodyLimitBytes: config.bodyLimitBytes, counts, log });
  const drain = registerDrain(http);
  closers.push(async (withinMs) => {
    await drain.finish(Math.min(UNFINISHED_MS, withinMs));
    await http.close();
  });
  registerAnswers(http, drain);
  if (config.docsPath) {
    const { registerDocs } = await import('./http/plugins/docs.ts');
    const { docsPath: path, version } = config;
    await registerDocs(http, { title: TITLE, path, version, contract: () => servedContract() ?? housing });
  }
  registerPredictRoutes(http, {
    servedContract,
    decodersOf,
    maxBatchRows: config.maxBatchRows,
    exposeModelVersion: config.exposeModelVersion,
    serving,
    isDraining: drain.isDraining,
    counts,
    fastPath,
  });
  if (config.groundTruth === 'public') {
    registerGroundTruthRoutes(http, { operations: groundTruth, maxBatchRows: config.maxBatchRows });
  }
  const probeDatabase = createProbe(pool);
  const ofDatabase = createDatabaseOperations({ pool: operatorsPool, clock, shipped: housing });
  const watch = startMonitoringWatch({ pool: operatorsPool, clock, shipped: housing });
  closers.push(watch.close);
  const facts = {
    counts,
    drain,
    served,
    serving,
    predictionLog,
    groundTruth,
    watch,
    jobs,
    probeDatabase,
    droppedLines,
  };
  const operations = createOperations({ ...facts, ...ofDatabase });
  registerHealthRoutes(http, {
    form: config.production ? 'short' : 'whole',
    exposeModelVersion: config.exposeModelVersion,
    ...operations,
  });
  if (!config.production) {
    if (config.adminPort === undefined) registerAdminRoutes(http, operations, config);
    registerStartPage(http, { title: TITLE, version: config.version, links: startPageLinks(config) });
  }

  return {
    http,
    operations,
    served: served.current,
    drain: drain.start,
    close: (withinMs = DEFAULT_CLOSE_MS) =>
      closers.closeAll(withinMs, (error) => log.error({ err: error }, 'something could not be closed in order')),
  };
}

/** Of the public port, outside production. */
function startPageLinks({ docsPath, adminHost, adminPort }: Config): StartPageLinks {
  const docs = docsPath ? `${docsPath.slice(1)}/` : null;
  if (adminPort === undefined) return { docs, health: 'health', metrics: 'metrics' };
  // Which free port it is, is known to the process that listens there.
  return { docs, health: 'health', metrics: adminPort === 0 ? null : `${urlOf(adminHost, adminPort)}/metrics` };
}
