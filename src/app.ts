/**
 * The composition root. It reads from the inside out, against the way of a request: the pipeline that predicts, the log
 * that stores, the data plane that brings callers together, then the routes.
 */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { type Closers, createClosers } from './closers.ts';
import type { Config } from './config.ts';
import { createClient, createPool } from './database/pool.ts';
import { createProbe } from './database/probe.ts';
import { RidgelineError, reasonOf } from './errors.ts';
import { describeHealth, type HealthFacts } from './health.ts';
import { housing } from './housing/features.ts';
import { registerAnswers } from './http/plugins/answers.ts';
import { registerDrain } from './http/plugins/drain.ts';
import { registerHealthRoutes } from './http/routes/health.ts';
import { registerPredictRoutes } from './http/routes/predict.ts';
import { createHttp } from './http/server.ts';
import { loadPredictor } from './inference/predictor.ts';
import { startPartitionUpkeep } from './prediction-log/postgres/partitions.ts';
import { createPredictionsTable } from './prediction-log/postgres/predictions-table.ts';
import { createPredictionLog } from './prediction-log/prediction-log.ts';
import { recordColumns } from './prediction-log/record-columns.ts';
import { gatherFromAll } from './process/gather.ts';
import { PROMOTION_CHANNEL } from './registry/pipeline-versions.ts';
import { createServedPipeline } from './registry/served-pipeline.ts';
import { startVersionListener } from './registry/version-listener.ts';
import { createServing } from './serving/serving.ts';

export interface AppOptions {
  config: Config;
  databaseUrl: string;
  /** Where the spools of this and of earlier processes are. */
  spoolRoot: string;
  log: FastifyBaseLogger;
  /** For tests: false has every request handled the plain way (http/fast-path/README.md). */
  fastPath?: boolean;
}

export interface App {
  http: FastifyInstance;
  /** The version that answers, if any does. */
  servedVersion(): string | undefined;
  /** Goes on taking requests for this long, but is not ready and keeps no connection alive. */
  drain(milliseconds: number): Promise<void>;
  /** Stops taking requests, answers those that are there, stores what is left; edge first. */
  close(withinMs?: number): Promise<void>;
}

/** A request that has not arrived by then, or whose answer is not read by then, is given up. */
const UNFINISHED_MS = 2_000;
const DEFAULT_CLOSE_MS = 25_000;

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
  const { config, databaseUrl, spoolRoot, log, fastPath = true } = options;
  const pool = createPool({ url: databaseUrl, onError: (err) => log.debug({ err }, 'a database connection broke') });
  closers.push(() => pool.end());
  const featureCount = housing.features.length;

  const served = createServedPipeline({
    load: (pipeline) => loadPredictor(pipeline, housing),
    database: pool,
    modelsDir: config.modelsDir,
    log,
  });
  closers.push(served.close);
  await served.refresh().catch(async (error: unknown) => {
    log.warn({ reason: reasonOf(error) }, 'the database cannot be read; looking for a pipeline in models/');
    await served.loadFromDisk();
    if (!served.current())
      log.error({ modelsDir: config.modelsDir }, 'no pipeline there either; waiting for the database');
  });

  const listener = startVersionListener({
    createClient: () => createClient(databaseUrl),
    channel: PROMOTION_CHANNEL,
    pollSeconds: config.modelPollSeconds,
    onChange: () => served.refresh(),
    log,
  });
  closers.push(listener.close);
  const upkeep = startPartitionUpkeep(pool, log);
  closers.push(upkeep.close);

  const predictionLog = createPredictionLog({
    mode: config.predictionLog,
    root: spoolRoot,
    fsync: config.predictionLogFsync,
    maxBytes: config.spoolMaxBytes,
    store: createPredictionsTable(pool),
    assumedColumns: recordColumns(housing),
    log,
  });
  closers.push((withinMs) => predictionLog.close(withinMs * 0.9));

  const serving = createServing({
    currentPredictor: served.current,
    predictionLog,
    featureCount,
    maxRequestRows: config.maxBatchRows,
    log,
  });
  closers.push(serving.drain);

  const http = createHttp({ bodyLimitBytes: config.bodyLimitBytes, log });
  const drain = registerDrain(http);
  closers.push(async (withinMs) => {
    await drain.finish(Math.min(UNFINISHED_MS, withinMs));
    await http.close();
  });
  registerAnswers(http, drain);
  if (config.docsPath) {
    const { registerDocs } = await import('./http/plugins/docs.ts');
    await registerDocs(http, { path: config.docsPath, version: config.version });
  }
  registerPredictRoutes(http, {
    contract: housing,
    maxBatchRows: config.maxBatchRows,
    exposeModelVersion: config.exposeModelVersion,
    serving,
    isDraining: drain.isDraining,
    fastPath,
  });
  const probeDatabase = createProbe(pool);
  const gatherHealth = gatherFromAll<HealthFacts>('health', async () => {
    const rejection = served.rejection();
    return {
      databaseFault: await probeDatabase(),
      servedVersion: served.current()?.pipelineVersion ?? null,
      refusedVersion: rejection ? { version: rejection.pipelineVersion, reason: rejection.reason } : null,
      predictionLog: predictionLog.facts(),
    };
  });
  registerHealthRoutes(http, {
    form: config.production ? 'short' : 'whole',
    exposeModelVersion: config.exposeModelVersion,
    notReady() {
      if (drain.isDraining()) return new RidgelineError('shutting_down');
      if (!served.current()) return new RidgelineError('no_pipeline');
      return predictionLog.refusedBecause() === undefined ? undefined : new RidgelineError('prediction_not_stored');
    },
    health: async () => describeHealth(await gatherHealth()),
  });

  return {
    http,
    servedVersion: () => served.current()?.pipelineVersion,
    drain: drain.start,
    close: (withinMs = DEFAULT_CLOSE_MS) =>
      closers.closeAll(withinMs, (error) => log.error({ err: error }, 'something could not be closed in order')),
  };
}
