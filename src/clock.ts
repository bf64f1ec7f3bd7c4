/** The time of day. Whoever needs it is handed a clock, so that tests and simulations can hand another one. */
export interface Clock {
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };
