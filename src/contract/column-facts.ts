/** What the cells of a column of a table are: what a declaration is derived from. */

/** As many different texts of a column are kept, which is as many as a declaration may have categories. */
export const MOST_TEXTS = 10_000;

export interface ColumnFacts {
  /** '' where the header has none. */
  name: string;
  /** Cells with a value; all other counts are of these. */
  present: number;
  missing: number;
  /** The spellings that were read as missing; '' is an empty cell. */
  missingAs: readonly string[];
  /** Those that are true or false, in any case. */
  booleans: number;
  /** Those that are a date, a time or both; no longer counted once more than a few are not. */
  dates: number;
  /** The first cell that is none. */
  firstUndated: FoundText | undefined;
  /** Those that are a number with the sign or the unit that the first of them has; counted as dates are. */
  measures: number;
  firstMeasure: FoundText | undefined;
  numbers: NumberFacts;
  /** A number of which the mark may be a decimal one or one between thousands, where that cannot be told. */
  ambiguous: FoundText | undefined;
  /** The different values as they are written, in the order of the rows; undefined beyond `MOST_TEXTS`. */
  texts: ReadonlySet<string> | undefined;
  /** Whether no value is there twice; false of numbers that are not written as whole ones. */
  isUnique: boolean;
}

/** The cells as decimal numbers. One with leading zeros, such as 00501, counts as none. */
export interface NumberFacts {
  mark: '.' | ',';
  count: number;
  /** Whether all of them are digits alone, without a decimal mark or an exponent. */
  isWhole: boolean;
  minimum: number;
  maximum: number;
  /** The first cell that is none. */
  firstOther: FoundText | undefined;
  /** How many of those are numbers in another notation, such as 1,234.50. */
  otherNotations: number;
  firstOtherNotation: FoundText | undefined;
}

/** A cell and the line of the file that it is on. */
export interface FoundText {
  text: string;
  line: number;
}

const SHOWN_CHARACTERS = 40;

/** `"1,234" in line 7` */
export function shown({ text, line }: FoundText): string {
  return `${JSON.stringify(text.slice(0, SHOWN_CHARACTERS))} in line ${line}`;
}

export function isNumbers({ present, numbers }: ColumnFacts): boolean {
  return numbers.count === present;
}

/** Whether so many of the values are so, while a few of them are not. */
export function isNearlyAll(count: number, { present }: Pick<ColumnFacts, 'present'>): boolean {
  return count >= 0.9 * present && present > 0;
}
