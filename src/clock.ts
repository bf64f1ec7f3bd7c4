/** The time of day. Whoever needs it is handed a clock, so that tests and simulations can hand another one. */
export interface Clock {
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };

export interface SimulatedClock extends Clock {
  /** Lets time pass, or go back where it is negative. */
  advance(milliseconds: number): void;
}

/** Time that passes when somebody says so. */
export function createSimulatedClock(start: string | Date): SimulatedClock {
  let now = new Date(start).getTime();
  return {
    now: () => new Date(now),
    advance(milliseconds) {
      now += milliseconds;
    },
  };
}
