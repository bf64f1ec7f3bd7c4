/** Time that passes when a test says so. */
import type { Clock } from '../../src/clock.ts';

export interface SimulatedClock extends Clock {
  /** Lets time pass, or go back where it is negative. */
  advance(milliseconds: number): void;
}

export function createSimulatedClock(start: string | Date): SimulatedClock {
  let now = new Date(start).getTime();
  return {
    now: () => new Date(now),
    advance(milliseconds) {
      now += milliseconds;
    },
  };
}
