/** Logs when something begins to fail, with the reason, and when it works again; failures in between are not logged. */
import { reasonOf } from './errors.ts';
import type { Log } from './log.ts';

export interface Outage {
  begin(error: unknown): void;
  end(): void;
}

export interface OutageOptions {
  log: Log;
  level: 'warn' | 'error';
  begins: string;
  ends: string;
}

export function createOutage({ log, level, begins, ends }: OutageOptions): Outage {
  let on = false;
  return {
    begin(error) {
      if (!on) log[level]({ reason: reasonOf(error) }, begins);
      on = true;
    },
    end() {
      if (on) log.info({}, ends);
      on = false;
    },
  };
}
