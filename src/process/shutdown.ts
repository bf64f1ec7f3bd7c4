/**
 * The end of a process, in order: it says that it goes while it still serves, then it closes what is open, the last
 * opened first, and exits with 0. A second signal, an unexpected error and a grace that is over exit with 1.
 */
import closeWithGrace from 'close-with-grace';
import type { Closers } from '../closers.ts';
import type { Log } from '../log.ts';

/** How to end. */
export interface Terms {
  /** What has asked for the end. */
  signal: string;
  /** How long new callers are still served, until load balancers have noticed. */
  drainMs: number;
  /** In which all of it must be over. */
  withinMs: number;
}

/** How what serves callers leaves them. */
export interface Departure {
  leave(terms: Terms): Promise<unknown>;
  /** Leaves them at once, when no time is left. */
  abandon?(): void;
}

export interface Ending {
  /** Aborted when the end begins: a start that is still under way stops. */
  signal: AbortSignal;
  /** From now on there are callers to be left. */
  departBy(how: Departure): void;
  /** Begins the end, unless it has begun; within the grace, or in less. */
  begin(asked: { signal: string; withinMs?: number }): void;
}

export interface EndingOptions {
  closers: Closers;
  graceSeconds: number;
  drainSeconds: number;
  log: Log;
}

/** A second Ctrl-C within this is the echo of the first: npm passes on the signal that the terminal has sent already. */
const SAME_SIGNAL_MS = 500;
/** Kept from the grace for the exit itself, and from what is left of it after the drain; at most a tenth of the grace. */
const RESERVE_MS = 500;

/** To be called before the start, as a process that is PID 1 ignores the signals it does not handle. */
export function endInOrder({ closers, graceSeconds, drainSeconds, log }: EndingOptions): Ending {
  const begun = new AbortController();
  const graceMs = graceSeconds * 1000;
  const reserveMs = Math.min(RESERVE_MS, graceMs / 10);
  let departure: Departure | undefined;
  let asked: { signal: string; withinMs?: number } = { signal: '' };
  let askedAt = 0;

  const { close } = closeWithGrace(
    {
      delay: graceMs,
      logger: false,
      skip: ['SIGINT', 'SIGTERM'],
      onTimeout: () =>
        log.error({}, 'SHUTDOWN_GRACE_SECONDS are over; what is in the spool is stored at the next start'),
    },
    async ({ err, signal = asked.signal }) => {
      const deadline = performance.now() + (asked.withinMs ?? graceMs - reserveMs);
      const left = () => Math.max(0, deadline - performance.now());
      if (err) log.fatal({ err }, 'unexpected error; ending');
      else log.info({ signal }, 'ending');
      begun.abort();
      const drainMs = signal === 'SIGTERM' ? Math.min(drainSeconds * 1000, left() - reserveMs) : 0;
      const report = (error: unknown) => log.error({ err: error }, 'something could not be closed in order');
      await departure?.leave({ signal, drainMs, withinMs: left() }).catch(report);
      await closers.closeAll(left(), report);
      log.info({}, 'ended');
    },
  );

  function begin(by: typeof asked): void {
    if (begun.signal.aborted) return;
    asked = by;
    askedAt = performance.now();
    close();
  }

  function onSignal(signal: string): void {
    if (!begun.signal.aborted) {
      begin({ signal });
    } else if (performance.now() - askedAt > SAME_SIGNAL_MS) {
      log.warn({ signal }, 'second signal: ending at once; what is in the spool is stored at the next start');
      departure?.abandon?.();
      process.exit(1);
    }
  }
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    signal: begun.signal,
    departBy(how) {
      departure = how;
    },
    begin,
  };
}
