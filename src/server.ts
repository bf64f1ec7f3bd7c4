/**
 * The process. It reads the settings, opens and prepares the database, serves, and ends in order: callers first, the
 * database last. With WORKERS above 1 it serves through that many processes which share the port, and looks after them.
 */
import cluster from 'node:cluster';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import closeWithGrace from 'close-with-grace';
import type { Logger } from 'pino';
import { type App, createApp } from './app.ts';
import { type Config, ConfigError, loadConfig } from './config.ts';
import { describeUrl } from './database/pool.ts';
import { RidgelineError, reasonOf } from './errors.ts';
import { exampleRow } from './feature-schema.ts';
import { housing } from './housing/features.ts';
import { createLog } from './log.ts';
import { type Database, openDatabase } from './process/open-database.ts';
import { prepareDatabase } from './process/prepare.ts';
import { startWorkers } from './process/workers.ts';

/** Something that has been started: it is closed in the reverse order. */
type Closer = () => Promise<void>;

/** A second Ctrl-C within this is the echo of the first: npm passes on the signal that the terminal has sent already. */
const SAME_SIGNAL_MS = 500;
const PREPARE_AGAIN_MS = 5_000;
/**
 * V8 collects all of its heap when it has grown by so much since the last time. Left to itself it chooses hardly a tenth
 * after a quiet minute: of the 16 MB that live here, what hundreds of callers with batches leave in a fifth of a second.
 */
const HEAP_GROWING_PERCENT = 200;

async function start(config: Config, closers: Closer[], log: Logger): Promise<void> {
  const database = await openDatabase({ ...config, onProgress: (message) => log.info({}, message) });
  closers.push(() => database.close());
  if (!cluster.isWorker) closers.push(await prepare(config, database, log));
  if (!cluster.isWorker && config.workers > 1) {
    const workers = startWorkers({ count: config.workers, databaseUrl: database.url, log });
    closers.push(() => workers.close());
    announce(await workers.address, config, undefined, log);
  } else {
    const app = await createApp({ config, databaseUrl: database.url, spoolRoot: join(config.dataDir, 'spool'), log });
    closers.push(() => app.close());
    await listen(app, config, log);
  }
  if (!cluster.isWorker && config.retrainCron) {
    const { startScheduler } = await import('./retraining/scheduler.ts');
    const scheduler = startScheduler({ cron: config.retrainCron, databaseUrl: database.url, log });
    closers.push(() => scheduler.close());
  }
}

/** Prepares the database now or, when it is away, as soon as it is there: what is in models/ serves meanwhile. */
async function prepare(config: Config, database: Database, log: Logger): Promise<Closer> {
  const stopped = new AbortController();
  const once = () =>
    prepareDatabase(database.url, {
      modelsDir: config.modelsDir,
      onProgress: (message) => log.info({}, message),
    });
  try {
    await once();
    return async () => undefined;
  } catch (error) {
    if (!(error instanceof RidgelineError && error.code === 'database_unreachable')) throw error;
    log.warn({ reason: error.message }, 'the database cannot be prepared; it is tried again until it can');
  }
  const trying = (async () => {
    while (!stopped.signal.aborted) {
      await delay(PREPARE_AGAIN_MS, undefined, { signal: stopped.signal }).catch(() => undefined);
      if (stopped.signal.aborted) return;
      try {
        await once();
        log.info({}, 'the database is prepared');
        return;
      } catch (error) {
        log.debug({ reason: reasonOf(error) }, 'the database still cannot be prepared');
      }
    }
  })();
  return async () => {
    stopped.abort();
    await trying;
  };
}

async function listen(app: App, config: Config, log: Logger): Promise<void> {
  try {
    await app.http.listen({ host: config.host, port: config.port });
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new Error(`Port ${config.port} on ${config.host} is in use. Stop the other program, or set PORT (0: any).`);
    }
    if (code === 'EACCES') throw new Error(`Port ${config.port} is not open to this user. Set PORT to 1024 or more.`);
    if (code === 'EADDRNOTAVAIL' || syscall === 'getaddrinfo')
      throw new Error(`HOST is ${config.host}, which is no address of this machine. Set it to one, such as 127.0.0.1.`);
    throw error;
  }
  if (!cluster.isWorker) announce(app.http.server.address() as AddressInfo, config, app.servedVersion(), log);
}

function announce(address: { port: number }, config: Config, version: string | undefined, log: Logger): void {
  const url = urlOf(address, config);
  log.info({ url, pipelineVersion: version }, 'listening');
  if (!config.production) console.log(welcome(url, config, version));
}

function urlOf({ port }: { port: number }, { host }: Config): string {
  // A wildcard address is for listening; callers need one to call.
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}`;
}

function welcome(url: string, config: Config, version: string | undefined): string {
  const body = JSON.stringify(exampleRow(housing));
  return `
Ridgeline ${config.version} answers at ${url}
  pipeline  ${version ?? `see ${url}/health`}
  docs      ${config.docsPath ? url + config.docsPath : 'off'}
  database  ${config.databaseUrl ? describeUrl(config.databaseUrl) : `embedded PostgreSQL in ${config.dataDir}`}

  curl -s ${url}/predict -H 'content-type: application/json' -d '${body}'
`;
}

/** Closes everything, the last opened first; one that fails does not keep the others open. */
async function closeAll(closers: Closer[], log?: Logger): Promise<void> {
  // While a start is still under way it may add to them.
  for (let close = closers.pop(); close; close = closers.pop()) {
    await close().catch((err: unknown) => log?.error({ err }, 'something could not be closed in order'));
  }
}

/** Installed before the start, as a process that is PID 1 ignores the signals it does not handle. */
function endInOrder(closers: Closer[], config: Config, log: Logger): void {
  let signalledAt = 0;
  const ending = closeWithGrace(
    {
      delay: config.shutdownGraceSeconds * 1000,
      logger: false,
      skip: ['SIGINT', 'SIGTERM'],
      onTimeout: () =>
        log.error({}, 'SHUTDOWN_GRACE_SECONDS are over; what is in the spool is stored at the next start'),
    },
    async ({ err, signal }) => {
      if (err) log.fatal({ err }, 'unexpected error; ending');
      else log.info({ signal }, 'ending: answering what is there, then stopping');
      await closeAll(closers, log);
      log.info({}, 'ended');
    },
  );
  const onSignal = (signal: string) => {
    if (signalledAt === 0) {
      signalledAt = Date.now();
      ending.close();
    } else if (Date.now() - signalledAt > SAME_SIGNAL_MS) {
      log.warn({ signal }, 'second signal: ending at once; what is in the spool is stored at the next start');
      process.exit(1);
    }
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  // The primary's wish, and its death: a worker does not outlive it.
  process.on('message', (message) => message === 'end' && onSignal('end'));
  process.on('disconnect', () => onSignal('disconnect'));
}

let log: Logger | undefined;
try {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
  const config = loadConfig();
  log = createLog(config.logLevel);
  const closers: Closer[] = [];
  endInOrder(closers, config, log);
  await start(config, closers, log).catch(async (error: unknown) => {
    await closeAll(closers, log);
    throw error;
  });
} catch (error) {
  const message = error instanceof ConfigError || error instanceof RidgelineError ? error.message : reasonOf(error);
  console.error(`Ridgeline cannot start. ${message}`);
  log?.debug({ err: error }, 'start failed');
  process.exit(1);
}
