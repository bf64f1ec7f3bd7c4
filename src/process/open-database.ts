/** The database that the settings name: the server at DATABASE_URL, or an embedded one under DATA_DIR. */
import { startEmbeddedPostgres } from '../embedded-postgres/embedded-postgres.ts';

export interface Database {
  url: string;
  /** Ends what this process has started; a server that others use goes on. */
  close(): Promise<void>;
}

export interface DatabaseOptions {
  databaseUrl: string | undefined;
  dataDir: string;
  onProgress?: (message: string) => void;
  /** Aborts the opening: it then rejects with the signal's reason, once nothing that was begun is left. */
  signal?: AbortSignal;
}

export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { databaseUrl, dataDir, onProgress, signal } = options;
  if (databaseUrl !== undefined) return { url: databaseUrl, close: async () => undefined };
  const { url, stop } = await startEmbeddedPostgres({
    dataDir,
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
  return { url, close: stop };
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * For commands: opens the database, does the work, closes. A signal aborts the opening or the work; then the process dies
 * of that signal, as it would without a handler, but leaves no server running.
 */
export async function withDatabase<Result>(
  options: DatabaseOptions,
  work: (database: Database) => Promise<Result>,
): Promise<Result> {
  const interrupted = new AbortController();
  const { signal } = interrupted;
  const broken = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  broken.catch(() => undefined);
  let by: NodeJS.Signals | undefined;
  const interrupt = (name: NodeJS.Signals) => {
    by ??= name;
    interrupted.abort(new Error(`ended by ${name}`));
  };
  for (const name of SIGNALS) process.on(name, interrupt);
  try {
    const database = await openDatabase({ ...options, signal });
    try {
      return await Promise.race([work(database), broken]);
    } finally {
      await database.close();
    }
  } finally {
    for (const name of SIGNALS) process.off(name, interrupt);
    if (by !== undefined) process.kill(process.pid, by);
  }
}
