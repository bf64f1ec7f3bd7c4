/** Numbers as people and programs write them into files and commands: in decimal, and in no other way. */

export type DecimalMark = '.' | ',';

/** What Number() takes besides: 0x1F, 0b1, 0o7. The rest of its ways, such as "", are not finite here either. */
const OTHER_BASE = /^0[xbo]/i;
/** Marks between thousands, a mark that the column does not use, or both. */
const OTHER_NOTATION = /^[-+]?(?:\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3})+(?:[.,]\d+)?|\d*[.,]\d+)$/;
const ONE_GROUP = /^[-+]?[1-9]\d{0,2}[.,]\d{3}$/;

/** The number that a text spells in decimal, such as -1.5e3; NaN for anything else, also where it is infinite. */
export function readDecimal(text: string, mark: DecimalMark = '.'): number {
  const trimmed = text.trim();
  if (trimmed === '' || OTHER_BASE.test(trimmed)) return Number.NaN;
  let value: number;
  if (mark === '.') value = Number(trimmed);
  else value = trimmed.includes('.') ? Number.NaN : Number(trimmed.replace(',', '.'));
  return Number.isFinite(value) ? value : Number.NaN;
}

/** Whether people would read it as a number all the same, such as 1,234.50, 1 234 or 12,5. */
export function isOtherNotation(text: string): boolean {
  return OTHER_NOTATION.test(text.trim());
}

/** Whether its mark may be one between thousands, as in 1,234 or 12.500. */
export function mayBeGrouped(text: string): boolean {
  return ONE_GROUP.test(text.trim());
}
