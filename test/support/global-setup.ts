/** One real PostgreSQL for the whole run: the server at DATABASE_URL, or an embedded one in a temporary directory. */
import { rm } from 'node:fs/promises';
import type { TestProject } from 'vitest/node';
import { openDatabase } from '../../src/process/open-database.ts';
import { makeDirectory } from './directory.ts';

declare module 'vitest' {
  interface ProvidedContext {
    postgresUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await makeDirectory('test');
  const database = await openDatabase({ databaseUrl: process.env.DATABASE_URL || undefined, dataDir });
  project.provide('postgresUrl', database.url);
  return async () => {
    await database.close();
    await rm(dataDir, { recursive: true, force: true });
  };
}
