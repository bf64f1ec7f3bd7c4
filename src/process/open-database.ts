/** The database that the settings name: the server at DATABASE_URL, or an embedded one under DATA_DIR. */
import { startEmbeddedPostgres } from '../embedded-postgres/embedded-postgres.ts';

export interface Database {
  url: string;
  /** Ends what this process has started; a server that others use goes on. */
  close(): Promise<void>;
}

export async function openDatabase(options: {
  databaseUrl: string | undefined;
  dataDir: string;
  onProgress?: (message: string) => void;
}): Promise<Database> {
  const { databaseUrl, dataDir, onProgress } = options;
  if (databaseUrl !== undefined) return { url: databaseUrl, close: async () => undefined };
  const { url, stop } = await startEmbeddedPostgres({ dataDir, ...(onProgress && { onProgress }) });
  return { url, close: stop };
}
