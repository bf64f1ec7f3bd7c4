/** Numbers as people and programs write them into files and commands: in decimal, and in no other way. */

/** What Number() takes besides: 0x1F, 0b1, 0o7. The rest of its ways, such as "", are not finite here either. */
const OTHER_BASE = /^0[xbo]/i;

/** The number that a text spells in decimal, such as -1.5e3; NaN for anything else, also where it is infinite. */
export function readDecimal(text: string): number {
  const trimmed = text.trim();
  const value = trimmed === '' || OTHER_BASE.test(trimmed) ? Number.NaN : Number(trimmed);
  return Number.isFinite(value) ? value : Number.NaN;
}
