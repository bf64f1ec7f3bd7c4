/** The whole application in this process, with a database of its own, a first version published, on a free port. */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { openAdmin } from '../../src/admin.ts';
import { type App, createApp } from '../../src/app.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { createPool, transaction } from '../../src/database/pool.ts';
import { housing } from '../../src/housing/features.ts';
import { prepareDatabase } from '../../src/process/prepare.ts';
import { type Published, publish } from '../../src/publishing/publish.ts';
import type { NewPipeline } from '../../src/registry/pipeline-versions.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { makeDirectories } from './directory.ts';
import { eventually } from './eventually.ts';

export interface TestApp {
  url: string;
  /** Of the admin port, where ADMIN_PORT is among the settings. */
  adminUrl: string | undefined;
  app: App;
  config: Config;
  database: TestDatabase;
  /** Publishes and promotes, and waits until it is served. `beforehand` is told the version before any server is. */
  publish(pipeline: NewPipeline, beforehand?: (version: string) => void): Promise<string>;
  close(): Promise<void>;
}

export interface TestAppOptions {
  /** False has every request handled the plain way (src/http/fast-path/README.md). */
  fastPath?: boolean;
  clock?: Clock;
  log?: FastifyBaseLogger;
  /** Whether a first version is published, as a start does. */
  publishesFirst?: boolean;
  /** Another app, whose database this one shares. It closes last. */
  beside?: TestApp;
  /** Told the server before it listens, to register plugins as others would. */
  extend?: (http: FastifyInstance) => void;
}

/** The two ways a request can be handled, for describe.each. */
export const bothWays: [way: string, options: TestAppOptions][] = [
  ['by the fast path', { fastPath: true }],
  ['by the plain way', { fastPath: false }],
];

export async function startTestApp(
  settings: Record<string, string> = {},
  {
    fastPath = true,
    clock = systemClock,
    log = pino({ level: 'silent' }),
    publishesFirst = true,
    beside,
    extend,
  }: TestAppOptions = {},
): Promise<TestApp> {
  const database = beside?.database ?? (await createTestDatabase());
  const directories = await makeDirectories();
  const config = loadConfig({
    DATABASE_URL: database.url,
    PORT: '0',
    DRAIN_SECONDS: '0',
    DATA_DIR: directories.dataDir,
    MODELS_DIR: directories.modelsDir,
    ...settings,
  });
  if (publishesFirst) {
    await prepareDatabase(database.url, { clock, modelsDir: config.modelsDir, onProgress: () => undefined });
  }
  const app = await createApp({
    config,
    databaseUrl: database.url,
    spoolRoot: directories.dataDir,
    clock,
    log,
    droppedLines: () => 0,
    fastPath,
  });
  extend?.(app.http);
  const admin =
    config.adminPort === undefined ? undefined : await openAdmin({ config, operations: app.operations, log });
  const url = await app.http.listen({ host: config.host, port: 0 });
  return {
    url,
    adminUrl: admin && `http://127.0.0.1:${admin.port}`,
    app,
    config,
    database,
    async publish(pipeline, beforehand) {
      const pool = createPool({ url: database.url, onError: () => undefined, max: 1 });
      const { pipelineVersion } = await publish(pipeline, {
        transaction: (work) =>
          transaction(pool, async (client) => {
            const result = await work(client);
            beforehand?.((result as Published).pipelineVersion);
            return result;
          }),
        modelsDir: config.modelsDir,
        now: clock.now(),
        promotedBy: 'test',
        reason: 'test',
        shipped: housing,
        breaking: true,
      }).finally(() => pool.end());
      await eventually(async () => app.served()?.pipelineVersion === pipelineVersion);
      return pipelineVersion;
    },
    async close() {
      await app.close();
      await admin?.close(1_000);
      if (!beside) await database.drop();
      await directories.remove();
    },
  };
}
