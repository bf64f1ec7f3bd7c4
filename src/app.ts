/**
 * The composition root. It reads in the order a request travels: the pipeline that answers, the log that stores, the
 * batcher that brings callers together, then the routes.
 */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { Config } from './config.ts';
import { createClient, createPool } from './database/pool.ts';
import { createProbe } from './database/probe.ts';
import { RidgelineError, reasonOf } from './errors.ts';
import { sqlColumns } from './feature-schema.ts';
import { housing } from './housing/features.ts';
import { registerAnswers } from './http/fast-path/send-json.ts';
import { registerDrain } from './http/plugins/drain.ts';
import { registerHealthRoutes } from './http/routes/health.ts';
import { registerPredictRoutes } from './http/routes/predict.ts';
import type { Health } from './http/schemas/health.ts';
import { createHttp } from './http/server.ts';
import { loadPredictor, type Predictor } from './inference/predictor.ts';
import { recordColumns } from './prediction-log/postgres/copy-format.ts';
import { startPartitionUpkeep } from './prediction-log/postgres/partitions.ts';
import { createPredictionsTable } from './prediction-log/postgres/predictions-table.ts';
import { createDirectLog, createSpooledLog, noLog, type PredictionLog } from './prediction-log/prediction-log.ts';
import type { PredictionStore } from './prediction-log/prediction-store.ts';
import { PROMOTION_CHANNEL } from './registry/pipeline-versions.ts';
import { createServedPipeline, type ServedPipeline } from './registry/served-pipeline.ts';
import { startVersionListener } from './registry/version-listener.ts';
import type { Answer } from './serving/answer.ts';
import { createBatchAnswerer, type PredictJob } from './serving/answer-batch.ts';
import { createMicroBatcher } from './serving/micro-batcher.ts';

export interface AppOptions {
  config: Config;
  databaseUrl: string;
  /** Where the spools of this and of earlier processes are. */
  spoolRoot: string;
  log: FastifyBaseLogger;
}

export interface App {
  http: FastifyInstance;
  /** The version that answers, if any does. */
  servedVersion(): string | undefined;
  /** Stops taking requests, answers those that are there, stores what is left; edge first. */
  close(): Promise<void>;
}

/** Rows that may wait for a run: beyond it a caller is better served by another instance, or later. */
const QUEUE_BATCHES = 8;
/** Rows that run in one turn of the event loop: a tenth of a second's work, much less than Retry-After asks to wait. */
const TURN_ROWS = 100_000;
/** Rows that are worth a run of their own: its fixed cost is then less than a tenth of what it costs to answer them. */
const EAGER_ROWS = 64;
/** Rows of one run. More would hold the event loop longer than a millisecond. */
const RUN_ROWS = 2048;

export async function createApp({ config, databaseUrl, spoolRoot, log }: AppOptions): Promise<App> {
  const pool = createPool({ url: databaseUrl, onError: (err) => log.debug({ err }, 'a database connection broke') });
  const featureCount = housing.features.length;

  const served = createServedPipeline({
    load: (pipeline) => loadPredictor(pipeline, featureCount),
    database: pool,
    modelsDir: config.modelsDir,
    log,
  });
  await served.refresh().catch(async (error: unknown) => {
    log.warn({ reason: reasonOf(error) }, 'the database cannot be read; looking for a pipeline in models/');
    await served.loadFromDisk();
    if (!served.current())
      log.error({ modelsDir: config.modelsDir }, 'no pipeline there either; waiting for the database');
  });

  const predictionLog = await openPredictionLog(config, createPredictionsTable(pool), spoolRoot, log);

  const largestBatch = Math.max(RUN_ROWS, config.maxBatchRows);
  const batcher = createMicroBatcher<PredictJob, Answer>({
    runBatch: createBatchAnswerer({
      currentPredictor: served.current,
      predictionLog,
      featureCount,
      maxRows: largestBatch,
    }),
    sizeOf: (job) => job.rows,
    eagerSize: EAGER_ROWS,
    maxBatchSize: RUN_ROWS,
    maxQueueSize: QUEUE_BATCHES * largestBatch,
    maxTurnSize: TURN_ROWS,
    refuse: () => new RidgelineError('overloaded'),
  });

  const http = createHttp({ bodyLimitBytes: config.bodyLimitBytes, log });
  const drain = registerDrain(http);
  const sendJson = registerAnswers(http, drain);
  if (config.docsPath) {
    const { registerDocs } = await import('./http/plugins/docs.ts');
    await registerDocs(http, { path: config.docsPath, version: config.version });
  }
  registerPredictRoutes(http, {
    features: housing,
    maxBatchRows: config.maxBatchRows,
    exposeModelVersion: config.exposeModelVersion,
    sendJson,
    hasRoomFor: batcher.hasRoomFor,
    answer: ({ rows, features }, pointerOf, settle) => batcher.submit({ rows, features, pointerOf }, settle),
  });
  const isDatabaseThere = createProbe(pool);
  registerHealthRoutes(http, {
    notReady() {
      if (drain.isDraining()) return new RidgelineError('shutting_down');
      return served.current() ? undefined : new RidgelineError('no_pipeline');
    },
    health: async () => describeHealth(await isDatabaseThere(), served, predictionLog, config),
  });

  const listener = startVersionListener({
    createClient: () => createClient(databaseUrl),
    channel: PROMOTION_CHANNEL,
    pollSeconds: config.modelPollSeconds,
    onChange: () => served.refresh(),
    log,
  });
  const upkeep = startPartitionUpkeep(pool, log);

  return {
    http,
    servedVersion: () => served.current()?.pipelineVersion,
    async close() {
      const graceMs = config.shutdownGraceSeconds * 1000;
      await drain.start(graceMs / 5);
      await http.close();
      await batcher.drain();
      await predictionLog.close(graceMs / 3);
      upkeep.close();
      await listener.close();
      await served.close();
      await pool.end();
    },
  };
}

/** The log that PREDICTION_LOG asks for. */
async function openPredictionLog(
  { predictionLog, predictionLogFsync: fsync, spoolMaxBytes: maxBytes }: Config,
  store: PredictionStore,
  root: string,
  log: FastifyBaseLogger,
): Promise<PredictionLog> {
  const columns = recordColumns(sqlColumns(housing));
  if (predictionLog === 'off') return noLog;
  if (predictionLog === 'sync') return createDirectLog({ store, columns, log });
  return await createSpooledLog({ store, columns, root, fsync, maxBytes, log });
}

function describeHealth(
  databaseAnswers: boolean,
  served: ServedPipeline<Predictor>,
  predictionLog: PredictionLog,
  config: Config,
): Health {
  const current = served.current();
  const rejection = served.rejection();
  const degraded = !databaseAnswers || rejection !== undefined;
  const state: Health = {
    status: current === undefined ? 'unavailable' : degraded ? 'degraded' : 'ok',
    database: databaseAnswers ? 'ok' : 'unavailable',
    model: current ? 'ok' : 'unavailable',
    model_version: config.exposeModelVersion ? current?.pipelineVersion : undefined,
  };
  if (config.production) return state;
  const { rows, oldestAgeSeconds, deadLetters } = predictionLog.backlog();
  return {
    ...state,
    refused_version: rejection && { model_version: rejection.pipelineVersion, reason: rejection.reason },
    prediction_log: { backlog_rows: rows, oldest_age_seconds: oldestAgeSeconds, dead_letters: deadLetters },
  };
}
