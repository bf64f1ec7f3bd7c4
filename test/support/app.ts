/** The whole application in this process, with a database of its own, a first version published, on a free port. */
import { pino } from 'pino';
import { type App, createApp } from '../../src/app.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { prepareDatabase } from '../../src/process/prepare.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { makeDirectories } from './directory.ts';

export interface TestApp {
  url: string;
  app: App;
  config: Config;
  database: TestDatabase;
  close(): Promise<void>;
}

export async function startTestApp(settings: Record<string, string> = {}): Promise<TestApp> {
  const database = await createTestDatabase({ migrated: false });
  const directories = await makeDirectories();
  const config = loadConfig({
    DATABASE_URL: database.url,
    PORT: '0',
    DRAIN_SECONDS: '0',
    DATA_DIR: directories.dataDir,
    MODELS_DIR: directories.modelsDir,
    ...settings,
  });
  await prepareDatabase(database.url, { modelsDir: config.modelsDir, onProgress: () => undefined });
  const app = await createApp({
    config,
    databaseUrl: database.url,
    spoolRoot: directories.dataDir,
    log: pino({ level: 'silent' }),
  });
  const url = await app.http.listen({ host: config.host, port: 0 });
  return {
    url,
    app,
    config,
    database,
    async close() {
      await app.close();
      await database.drop();
      await directories.remove();
    },
  };
}
