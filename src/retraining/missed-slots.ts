/** The slots of a schedule that lie in the past: what should have been trained while no scheduler ran. */
import { createTask, parse } from 'node-cron';
import { alternativesOf } from './cron-alternatives.ts';

const DAY_MS = 24 * 3_600_000;
/** Nobody asks for each of the runs that a year without a scheduler would have had. */
const MOST_SLOTS = 1_000;
const DAYS_BACK = 366;

export interface PastSlots {
  /** The oldest first. */
  slots: Date[];
  /** Whether there may be older ones. */
  isCutOff: boolean;
}

/** A function that finds the minutes (UTC) that five cron fields name after one time and before another: the newest 1,000, of a year. */
export function pastSlotsOf(cron: string): (after: Date, before: Date) => PastSlots {
  const schedules = alternativesOf(cron).map((fields) => {
    const { minute, hour } = parse(fields);
    const timesOfDay = hour.flatMap((hours) => minute.map((minutes) => (hours * 60 + minutes) * 60_000));
    const task = createTask(fields, () => undefined, { timezone: 'UTC' });
    // Asked once a day, as the library is slow: what holds of one time of a day holds of all that are named.
    const namesDay = (day: number) => task.match(new Date(day + timesOfDay[0]!));
    return (day: number) => (namesDay(day) ? timesOfDay.map((time) => day + time) : []);
  });
  return (after, before) => {
    const slots: number[] = [];
    const today = Math.floor(before.getTime() / DAY_MS) * DAY_MS;
    const oldest = Math.max(after.getTime(), today - DAYS_BACK * DAY_MS);
    for (let day = today; day + DAY_MS > oldest && slots.length < MOST_SLOTS; day -= DAY_MS) {
      const named = new Set(schedules.flatMap((timesOn) => timesOn(day)));
      slots.push(...[...named].filter((time) => time > oldest && time < before.getTime()).sort((a, b) => b - a));
    }
    const isCutOff = slots.length >= MOST_SLOTS || oldest > after.getTime();
    const newest = slots.slice(0, MOST_SLOTS).toReversed();
    return { slots: newest.map((time) => new Date(time)), isCutOff };
  };
}
