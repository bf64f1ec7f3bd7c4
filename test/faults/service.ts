/** One service under test: a process, a database of its own, and between them a proxy that can be told to misbehave. */
import { readFileSync } from 'node:fs';
import { onTestFinished as afterThisTest, expect } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { type ServerProcess, startServer } from '../support/server.ts';
import { type Scraper, startScraper } from './scraper.ts';
import { createTcpProxy, type TcpProxy } from './tcp-proxy.ts';

export interface Health {
  status: string;
  database: string;
  model: string;
  model_version?: string;
  prediction_log: 'ok' | 'behind' | 'refusing' | 'off';
  refused_version: { model_version: string; reason: string } | null;
  reasons: string[];
  backlog: {
    rows: number;
    oldest_age_seconds: number | null;
    bytes: number;
    limit_bytes: number;
    dead_letters: number;
    last_error: string | null;
  };
}

export interface Service {
  database: TestDatabase;
  proxy: TcpProxy;
  directories: ServerDirectories;
  /** The process that was started last. */
  readonly server: ServerProcess;
  /** Starts a process in the place of the one before, which is ended if a failed test has left it. */
  start(settings?: Record<string, string>): Promise<ServerProcess>;
  /** Ends the process with `kill -9`. */
  kill(): Promise<void>;
  health(): Promise<Health>;
  statusOf(path: string): Promise<number>;
  /** How often the log has this message. */
  logged(message: string | RegExp): number;
}

export interface ServiceOptions {
  /** For every start. */
  settings?: Record<string, string>;
  /** Instead of the built server. */
  script?: string;
  /** Instead of temporary ones that are removed afterwards. */
  directories?: ServerDirectories;
  /** Of the test's context; needed in tests that run at the same time as others. */
  onTestFinished?: (clean: () => Promise<void>) => void;
}

const SCRAPES_A_SECOND = 2;

/** Makes what a service needs, which is removed when the test ends; `start` starts it. */
export async function prepareService({ settings = {}, ...options }: ServiceOptions = {}): Promise<Service> {
  const database = await createTestDatabase();
  const directories = options.directories ?? (await makeDirectories());
  const proxy = await createTcpProxy(database.url);
  const databaseUrl = proxy.through(database.url);
  let server: ServerProcess | undefined;
  const scrapers: Scraper[] = [];
  const onTestFinished = options.onTestFinished ?? afterThisTest;
  onTestFinished(async () => {
    await server?.stop('SIGKILL');
    await Promise.all(scrapers.map((scraper) => scraper.stop()));
    await proxy.close();
    await directories.remove();
    await database.drop();
    // Whatever happened, the metrics went on, and nothing that they count went back.
    expect(scrapers.flatMap(({ complaints }) => complaints)).toEqual([]);
  });
  const running = () => {
    if (!server) throw new Error('The service has not been started.');
    return server;
  };
  return {
    database,
    proxy,
    directories,
    get server() {
      return running();
    },
    async start(more = {}) {
      await server?.stop('SIGKILL');
      const all = { DATABASE_URL: databaseUrl, ADMIN_PORT: '0', ...settings, ...more };
      server = await startServer(all, directories, options.script);
      scrapers.push(await startScraper(server, SCRAPES_A_SECOND));
      return server;
    },
    async kill() {
      await running().stop('SIGKILL');
    },
    health: async () => (await fetch(`${running().url}/health`)).json() as Promise<Health>,
    statusOf: async (path) => (await fetch(`${running().url}${path}`)).status,
    logged: (message) =>
      running()
        .logs()
        .filter(({ msg }) => (typeof message === 'string' ? msg === message : message.test(String(msg)))).length,
  };
}

/** The memory of a process in MiB; undefined where /proc does not say. */
export function residentMiB({ process: { pid } }: ServerProcess): number | undefined {
  try {
    const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kilobytes) / 1024;
  } catch {
    return undefined;
  }
}
