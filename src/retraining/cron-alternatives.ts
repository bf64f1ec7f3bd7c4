/** What five cron fields mean in crontab(5), for a matcher that takes all of them together. */

/**
 * Expressions that together name the same minutes. Where day of month and day of week are both restricted, a day that
 * meets either counts, as in "0 3 1,15 * 1", so there are two. A field that begins with `*` does not restrict, also where
 * a step follows.
 */
export function alternativesOf(cron: string): string[] {
  const [minute, hour, dayOfMonth, month, dayOfWeek] = cron.trim().split(/\s+/) as [
    string,
    string,
    string,
    string,
    string,
  ];
  if (!isRestricted(dayOfMonth) || !isRestricted(dayOfWeek)) return [cron];
  return [`${minute} ${hour} ${dayOfMonth} ${month} *`, `${minute} ${hour} * ${month} ${dayOfWeek}`];
}

const isRestricted = (field: string) => !/^[*?]/.test(field);
