/** Times as callers write them. */

/** RFC 3339, 5.6, where T and Z may be small: a date, a time with its seconds, and a zone. */
const RFC_3339 =
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i;
/** The days that every month has. */
const SHORTEST_MONTH = 28;

/**
 * The time to the millisecond, later digits cut off; undefined for what is not RFC 3339 with a zone, such as the 30th of
 * February. A leap second is the first one after it, as Date knows none.
 */
export function parseRfc3339(text: string): Date | undefined {
  if (!RFC_3339.test(text)) return undefined;
  const day = Number(text.slice(8, 10));
  // Date takes the 30th of February for a day in March.
  if (day > SHORTEST_MONTH && new Date(text.slice(0, 10)).getUTCDate() !== day) return undefined;
  const isLeap = text.slice(17, 19) === '60';
  const time = Date.parse(isLeap ? `${text.slice(0, 17)}59${text.slice(19)}` : text);
  return new Date(isLeap ? time + 1000 : time);
}
