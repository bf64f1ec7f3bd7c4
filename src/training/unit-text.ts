/** Texts that are a number with a sign or a unit, such as "$11", "0,5%" and "18 kg". */

const SIGN = '[$€£¥]';
const NUMBER = '[-+]?\\d(?:[\\d.,]*\\d)?';
const UNIT = `(?:[%‰]|${SIGN}|°?[\\p{L}µ]{1,10}[²³23]?(?:/[\\p{L}²³]{1,6})?)`;
const MEASURE = new RegExp(`^[-+]?(${SIGN})? ?${NUMBER} ?(${UNIT})?$`, 'u');
const MOST_CHARACTERS = 40;

/** The sign or the unit; undefined for a number without one, and for any other text. */
export function unitOf(text: string): string | undefined {
  const trimmed = text.trim();
  if (trimmed.length > MOST_CHARACTERS) return undefined;
  const [, sign = '', unit = ''] = MEASURE.exec(trimmed) ?? [];
  return sign + unit || undefined;
}
