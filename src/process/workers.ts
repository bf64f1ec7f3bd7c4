/**
 * The processes that share the port when WORKERS is above 1. One that dies is replaced, after a pause that grows while
 * its successors die young, so that a fault that strikes at every start does not become a storm of starts.
 */
import cluster, { type Worker } from 'node:cluster';

export interface WorkersOptions {
  count: number;
  /** Handed to the workers: an embedded server is started once, by the primary. */
  databaseUrl: string;
  log: Record<'info' | 'warn', (fields: object, message: string) => void>;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;
/** A worker that has lived this long was healthy, and its successor may start at once. */
const HEALTHY_AFTER_MS = 10_000;

export interface Workers {
  /** Where they listen, once the first does; rejects when one ends before: its fault would end every successor too. */
  address: Promise<{ port: number }>;
  close(): Promise<void>;
}

export function startWorkers({ count, databaseUrl, log }: WorkersOptions): Workers {
  const living = new Set<Worker>();
  const restarts = new Set<NodeJS.Timeout>();
  let pause = FIRST_PAUSE_MS;
  let closing = false;
  let allGone: (() => void) | undefined;
  let listening = false;
  let reportAddress!: (address: { port: number }) => void;
  let reportFailure!: (error: Error) => void;
  const address = new Promise<{ port: number }>((resolve, reject) => {
    reportAddress = resolve;
    reportFailure = reject;
  });

  function startWorker(): void {
    const startedAt = Date.now();
    const worker = cluster.fork({ DATABASE_URL: databaseUrl });
    living.add(worker);
    worker.once('listening', (where) => {
      listening = true;
      reportAddress(where);
    });
    worker.once('exit', (code, signal) => {
      living.delete(worker);
      if (!listening) {
        closing = true;
        reportFailure(new Error('A worker ended before it listened; what it printed says why.'));
      }
      if (closing) {
        if (living.size === 0) allGone?.();
        return;
      }
      pause = Date.now() - startedAt >= HEALTHY_AFTER_MS ? FIRST_PAUSE_MS : Math.min(pause * 2, LONGEST_PAUSE_MS);
      log.warn(
        { workerPid: worker.process.pid, code, signal, pauseMs: pause },
        'a worker has died; another one starts',
      );
      const timer = setTimeout(() => {
        restarts.delete(timer);
        startWorker();
      }, pause);
      restarts.add(timer);
    });
  }

  for (let i = 0; i < count; i++) startWorker();
  log.info({ count }, 'workers are started');
  return {
    address,
    close() {
      closing = true;
      for (const timer of restarts) clearTimeout(timer);
      if (living.size === 0) return Promise.resolve();
      for (const worker of living) worker.send('end');
      return new Promise((resolve) => {
        allGone = resolve;
      });
    },
  };
}
