/** Texts that are dates, times or both, in ISO 8601 and in the forms that spreadsheets write. */

const DAY = '(?:0?[1-9]|[12]\\d|3[01])';
const MONTH = '(?:0?[1-9]|1[0-2])';
const MONTH_NAME = '(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\\.?';
const WEEKDAY = '(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?';
const YEAR = '(?:\\d{4}|\\d{2})';
const CLOCK =
  '\\d{1,2}:\\d{2}(?::\\d{2}(?:[.,]\\d+)?)?(?: ?[ap]\\.?m\\.?)?(?: ?(?:z|utc|gmt|[+-]\\d{2}(?::?\\d{2})?))?';

const dates = [
  `\\d{4}[-/.]${MONTH}(?:[-/.]${DAY})?`,
  `${DAY}([-/.])${MONTH}\\1${YEAR}`,
  `${MONTH}([-/.])${DAY}\\2${YEAR}`,
  `${WEEKDAY}${DAY}[-. ]{1,2}${MONTH_NAME}[-, ]{1,2}${YEAR}`,
  `${WEEKDAY}${MONTH_NAME}[- ]${DAY}(?:, ?|[- ])${YEAR}`,
  `${MONTH_NAME}[- ]${YEAR}`,
];
const DATE = new RegExp(`^(?:(?:${dates.join('|')})(?:,?[t ]${CLOCK})?|${CLOCK}|\\d{8}t\\d{4,6}z?)$`, 'i');
const MOST_CHARACTERS = 40;

export function isDate(text: string): boolean {
  const trimmed = text.trim();
  return trimmed.length <= MOST_CHARACTERS && DATE.test(trimmed);
}

/** Whether a whole number is a date of these times without marks, such as 20241231. */
export function isDateNumber(value: number): boolean {
  if (value < 1900_01_01 || value > 2100_12_31) return false;
  const month = Math.floor(value / 100) % 100;
  const day = value % 100;
  return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}
