/** What a column of a table is as a feature: its type, nulls and categories, or why it cannot be one. */
import { byCodePoints } from './categories.ts';
import { type ColumnFacts, isNearlyAll, isNumbers, MOST_TEXTS, shown } from './column-facts.ts';
import { isFeatureName } from './declaration.ts';
import { featureNotes } from './feature-notes.ts';
import type { Feature } from './features-schema.ts';

/** In the form of a features file. */
export interface DerivedFeature {
  name: string;
  dtype: Feature['dtype'];
  nullable?: true;
  null_as?: string;
  categories?: string[];
  example?: Feature['example'];
}

export interface Decision {
  /** Absent where the column is left out. */
  feature?: DerivedFeature;
  /** For people. */
  note: string;
}

/** Each is a column of the system that a fit solves, in a time that grows with their number to the third power. */
const MOST_CATEGORIES = 1000;
/** The default of a declaration. */
const MOST_BYTES_OF_A_TEXT = 1024;
/** In fewer rows whole numbers that are measured, and names, are easily all different. */
const FEWEST_ROWS_OF_AN_IDENTIFIER = 20;
/** What callers may send in the place of null, as SimpleImputer(strategy='constant', fill_value='missing') fills it. */
const NULL_AS = 'missing';

const EMPTY = 'It is empty in every row.';

/** `position` is the place of the column in the file, from 1. */
export function decideColumn(column: ColumnFacts, position: number): Decision {
  const dtype = dtypeOf(column);
  const reason = reasonToLeaveOut(column, dtype);
  if (reason !== undefined) return { note: `${column.name || `column ${position}`}: ${reason}` };
  const isText = dtype === 'string';
  const feature: DerivedFeature = {
    name: column.name,
    dtype,
    ...(column.missing > 0 && { nullable: true, ...(isText && { null_as: NULL_AS }) }),
    ...(isText && { categories: [...column.texts!].sort(byCodePoints) }),
  };
  const missing = { count: column.missing, spellings: column.missingAs };
  const kind = isText || dtype === 'bool' ? 'categorical' : 'numerical';
  const parts = [
    ...featureNotes({ ...feature, kind }, typeNote(column, dtype), missing),
    ...textNotes(column, feature),
  ];
  const advice = isText ? adviceOnTexts(column) : undefined;
  return { feature, note: [`${column.name}: ${parts.join('; ')}.`, advice ?? []].flat().join(' ') };
}

function dtypeOf(column: ColumnFacts): Feature['dtype'] {
  if (column.booleans === column.present) return 'bool';
  if (!isNumbers(column)) return 'string';
  return column.numbers.isWhole && isSafe(column) ? 'int64' : 'float64';
}

/** Whether a float64 holds each of the whole numbers. */
function isSafe({ numbers }: ColumnFacts): boolean {
  return Number.isSafeInteger(numbers.minimum) && Number.isSafeInteger(numbers.maximum);
}

function reasonToLeaveOut(column: ColumnFacts, dtype: Feature['dtype']): string | undefined {
  const { name, present, missing, dates, numbers, ambiguous, texts, isUnique } = column;
  const { otherNotations, firstOtherNotation } = numbers;
  if (name === '' && present === 0) return EMPTY;
  if (/^(?:Unnamed: \d+)?$/.test(name)) return 'It has no name, as the index of a data frame.';
  if (!isFeatureName(name)) return 'Its name cannot be that of a feature; rename the column.';
  if (present === 0) return EMPTY;
  if (otherNotations > 0 && numbers.count + otherNotations === present) {
    return `Its numbers are not all written as 1234.5 is: ${shown(firstOtherNotation!)}.`;
  }
  if (ambiguous) return `${shown(ambiguous)} may be a fraction, or grouped by thousands. Write 1.5 or 1500.`;
  if (dates === present) return 'It is a date or a time. Make numbers of what matters of it, such as the month.';
  if (isConstant(column, dtype)) return 'It is constant: the same in every row.';
  // An identifier is in every row. Texts that are there once are no categories in any case.
  if (isUnique && present >= FEWEST_ROWS_OF_AN_IDENTIFIER && (dtype === 'string' || missing === 0)) {
    const identifier = `It is an identifier: each of its ${present} values is there once.`;
    if (dtype === 'string') return adviceOnTexts(column) ?? identifier;
    return `${identifier} If it measures something, declare it as ${dtype} in the file of --features.`;
  }
  if (dtype !== 'string') return undefined;
  if (!texts || texts.size > MOST_CATEGORIES) {
    const count = texts?.size ?? `more than ${MOST_TEXTS}`;
    return adviceOnTexts(column) ?? `It has ${count} categories, and at most ${MOST_CATEGORIES} are derived.`;
  }
  const isLong = [...texts].some((text) => Buffer.byteLength(text) > MOST_BYTES_OF_A_TEXT);
  return isLong ? `It has texts of more than ${MOST_BYTES_OF_A_TEXT} bytes, which are no categories.` : undefined;
}

/** A missing number is replaced by the mean, while a missing text or boolean is a category beside the others. */
function isConstant({ missing, numbers, texts }: ColumnFacts, dtype: Feature['dtype']): boolean {
  if (dtype === 'float64' || dtype === 'int64') return numbers.minimum === numbers.maximum;
  const values = [...(texts ?? [])].map((text) => (dtype === 'bool' ? text.trim().toLowerCase() : text));
  return missing === 0 && new Set(values).size === 1;
}

function typeNote(column: ColumnFacts, dtype: Feature['dtype']): string {
  const { numbers } = column;
  if (dtype !== 'float64') return dtype;
  if (numbers.isWhole) return 'float64, as some are larger than 2^53, and rounded';
  return numbers.mark === ',' ? 'float64, with decimal commas' : 'float64';
}

function textNotes({ present, numbers }: ColumnFacts, { categories }: DerivedFeature): string[] {
  if (!categories) return [];
  const hasSomeNumbers = numbers.count > 0 && numbers.count <= present / 2;
  return [
    ...(hasSomeNumbers ? [`${numbers.count} are numbers, but not ${shown(numbers.firstOther!)}`] : []),
    ...(categories.some((text) => text !== text.trim()) ? ['some begin or end with a blank, which counts'] : []),
  ];
}

/** What keeps a column of texts from being what most of it is, whether it is a feature so or left out. */
function adviceOnTexts(column: ColumnFacts): string | undefined {
  const { present, numbers, dates, firstUndated, measures, firstMeasure } = column;
  const correct = 'Correct that cell, or empty it if it is missing.';
  if (numbers.count > present / 2) {
    return `${numbers.count} of its ${present} values are numbers, but not ${shown(numbers.firstOther!)}. ${correct}`;
  }
  if (isNearlyAll(dates, column)) {
    return `${dates} of its ${present} values are dates or times, but not ${shown(firstUndated!)}. ${correct}`;
  }
  if (!isNearlyAll(measures, column)) return undefined;
  return `Its numbers have a sign or a unit: ${shown(firstMeasure!)}. Write the numbers alone, as 1234.5.`;
}
