/**
 * The processes that share the port when WORKERS is above 1. One that dies is replaced, after a pause that grows while
 * its successors die young, so that a fault that strikes at every start does not become a storm of starts. As long as
 * none has ever listened, a fault that no further start can mend, such as a wrong setting, ends all of them.
 */
import cluster, { type Worker } from 'node:cluster';
import { EventEmitter, once } from 'node:events';
import { createBackoff } from '../backoff.ts';
import { ConfigError } from '../config.ts';
import { RidgelineError, reasonOf, tellable } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Departure, Ending, Terms } from './shutdown.ts';

export interface WorkersOptions {
  count: number;
  /** Of all of them, so not 0: each would find a free one of its own. */
  port: number;
  /** Handed to the workers: an embedded server is started once, by the primary. */
  databaseUrl: string;
  log: Pick<Log, 'info' | 'warn'>;
}

/** What the processes tell each other. */
interface ToWorker {
  end: Omit<Terms, 'drainMs'>;
}
interface ToPrimary {
  cannotStart: string;
  /** Whether the next one would fail in the same way. */
  lasting: boolean;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;
/** A worker that has lived this long was healthy, and its successor may start at once. */
const HEALTHY_AFTER_MS = 10_000;
const SAY_AGAIN_MS = 100;
/** The share of its time that the primary waits for its workers, and the share of that wait that they get. */
const SHARE_OF_TIME = 0.9;

export interface Workers extends Departure {
  /** Resolves once the first does; rejects when it is certain that none ever will. */
  listens: Promise<unknown>;
  /** Kills those that have not exited. */
  close(): void;
}

export function startWorkers({ count, port, databaseUrl, log }: WorkersOptions): Workers {
  const living = new Set<Worker>();
  const restarts = new Set<NodeJS.Timeout>();
  const events = new EventEmitter();
  const backoff = createBackoff({ firstMs: FIRST_PAUSE_MS, longestMs: LONGEST_PAUSE_MS });
  let ending = false;
  let listening = false;

  function startWorker(): void {
    const startedAt = performance.now();
    const worker = cluster.fork({ DATABASE_URL: databaseUrl, PORT: String(port) });
    living.add(worker);
    let failure: ToPrimary | undefined;
    worker.once('listening', () => {
      listening = true;
      log.info({ workerPid: worker.process.pid }, 'a worker listens');
      events.emit('listening');
    });
    worker.on('message', (message: Partial<ToPrimary>) => {
      if (message.cannotStart !== undefined) failure = message as ToPrimary;
    });
    worker.on('error', (error) => {
      // A worker that could not be forked never exits; any other does, even when its channel is broken.
      if (worker.process.pid === undefined) ended(worker, startedAt, { reason: reasonOf(error) });
    });
    worker.once('exit', (code, signal) => {
      if (failure?.lasting && !listening && !ending) {
        ending = true;
        events.emit('error', new Error(failure.cannotStart));
      }
      ended(worker, startedAt, { code, signal, reason: failure?.cannotStart });
    });
  }

  function ended(worker: Worker, startedAt: number, why: object): void {
    living.delete(worker);
    if (ending) {
      if (living.size === 0) events.emit('all gone');
      return;
    }
    if (performance.now() - startedAt >= HEALTHY_AFTER_MS) backoff.reset();
    const pause = backoff.next();
    log.warn({ workerPid: worker.process.pid, ...why, pauseMs: pause }, 'a worker has died; another one starts');
    const timer = setTimeout(() => {
      restarts.delete(timer);
      startWorker();
    }, pause);
    restarts.add(timer);
  }

  function end(): void {
    ending = true;
    for (const timer of restarts) clearTimeout(timer);
  }

  function kill(): void {
    end();
    for (const worker of living) worker.process.kill('SIGKILL');
  }

  const listens = once(events, 'listening');
  for (let i = 0; i < count; i++) startWorker();
  log.info({ count }, 'workers are started');
  return {
    listens,
    async leave({ signal, withinMs }) {
      end();
      if (living.size === 0) return;
      const gone = once(events, 'all gone', { signal: AbortSignal.timeout(Math.floor(withinMs * SHARE_OF_TIME)) });
      const message: ToWorker = { end: { signal, withinMs: withinMs * SHARE_OF_TIME * SHARE_OF_TIME } };
      const send = () => {
        for (const worker of living) worker.send(message);
      };
      send();
      // One that is still loading its code hears nothing.
      const again = setInterval(send, SAY_AGAIN_MS);
      await gone.catch(() => log.warn({ left: living.size }, 'workers have not ended in time'));
      clearInterval(again);
    },
    abandon: kill,
    close: kill,
  };
}

/** In a worker: ends when its primary says so, and when that has died. */
export function obeyPrimary(ending: Pick<Ending, 'begin'>): void {
  process.on('message', ({ end }: Partial<ToWorker>) => end && ending.begin(end));
  const worker = cluster.worker!;
  worker.once('disconnect', () => {
    // Unless this is set, Node ends a worker here, in the middle of its answers.
    worker.exitedAfterDisconnect = true;
    ending.begin({ signal: 'disconnect' });
  });
}

/** In a worker that cannot start: its primary decides what follows. */
export function reportToPrimary(error: unknown): Promise<void> {
  const lasting =
    error instanceof ConfigError ||
    (error instanceof RidgelineError && (error.code === 'cannot_listen' || error.code === 'database_setup'));
  const report: ToPrimary = { cannotStart: tellable(error), lasting };
  return new Promise((resolve) => {
    if (process.connected) process.send!(report, undefined, undefined, () => resolve());
    else resolve();
  });
}
