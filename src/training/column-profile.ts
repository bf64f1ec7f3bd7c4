/** What the cells of a column are, noted cell by cell. Memory is bounded, however many rows there are. */
import { type ColumnFacts, type FoundText, isNearlyAll, MOST_TEXTS } from '../contract/column-facts.ts';
import { missingSpelling } from './csv-missing.ts';
import { isDate, isDateNumber } from './date-text.ts';
import type { DecimalMark } from './decimal.ts';
import { found, NumberProfile } from './number-profile.ts';
import { unitOf } from './unit-text.ts';

/** Beyond as many, numbers are compared with these alone. */
const MOST_NUMBERS = 1_000_000;

/** So many cells may be others before a column is no longer looked at for dates, or for units. */
const FEW = 10;

const BOOLEAN = /^\s*(?:true|false)\s*$/i;

export class ColumnProfile {
  readonly name: string;
  /** With each decimal mark that there may be, the point first. */
  readonly readings: readonly NumberProfile[];
  #present = 0;
  #missing = 0;
  readonly #missingAs = new Set<string>();
  #booleans = 0;
  #dates = 0;
  #firstUndated: FoundText | undefined;
  #unit: string | undefined;
  #measures = 0;
  #firstMeasure: FoundText | undefined;
  /** Undefined once there are too many. */
  #texts: Set<string> | undefined = new Set();
  #hasTextTwice = false;
  /** Undefined once one is there twice, or a cell is no whole number. Large ones are kept as texts: they are rounded. */
  #wholeNumbers: Set<number | string> | undefined = new Set();

  constructor(name: string, marks: readonly DecimalMark[]) {
    this.name = name;
    this.readings = marks.map((mark) => new NumberProfile(mark));
  }

  add(cell: string, line: number): void {
    const missing = missingSpelling(cell);
    if (missing !== undefined) {
      this.#missing++;
      this.#missingAs.add(missing);
      return;
    }
    const value = this.readings[0]!.add(cell, line);
    this.readings[1]?.add(cell, line);
    this.#addText(cell);
    this.#addWholeNumber(value, cell);
    if (BOOLEAN.test(cell)) this.#booleans++;
    this.#addDate(value, cell, line);
    if (Number.isNaN(value)) this.#addMeasure(cell, line);
    this.#present++;
  }

  /** A column that has something else in more than a few cells is none of these, so that most cells need no look. */
  #isStillLikely(count: number): boolean {
    return count + FEW >= this.#present || isNearlyAll(count + FEW, { present: this.#present });
  }

  #addDate(value: number, cell: string, line: number): void {
    if (!this.#isStillLikely(this.#dates)) return;
    if (isDateNumber(value) || isDate(cell)) this.#dates++;
    else this.#firstUndated ??= found(cell, line);
  }

  #addMeasure(cell: string, line: number): void {
    if (!this.#isStillLikely(this.#measures)) return;
    const unit = unitOf(cell);
    if (unit === undefined || (this.#unit !== undefined && unit !== this.#unit)) return;
    this.#unit = unit;
    this.#measures++;
    this.#firstMeasure ??= found(cell, line);
  }

  #addText(cell: string): void {
    if (!this.#texts) return;
    if (this.#texts.has(cell)) this.#hasTextTwice = true;
    else if (this.#texts.size === MOST_TEXTS) this.#texts = undefined;
    // A copy, as a part of a text that was read keeps all of it in memory.
    else this.#texts.add(Buffer.from(cell).toString());
  }

  #addWholeNumber(value: number, cell: string): void {
    if (!this.#wholeNumbers) return;
    const key = Number.isSafeInteger(value) ? value : Buffer.from(cell).toString();
    if (!Number.isInteger(value) || this.#wholeNumbers.has(key)) this.#wholeNumbers = undefined;
    else if (this.#wholeNumbers.size < MOST_NUMBERS) this.#wholeNumbers.add(key);
  }

  /** `isAmbiguous`: whether it cannot be told if the marks of the numbers are decimal ones. */
  facts(numbers: NumberProfile, isAmbiguous: boolean): ColumnFacts {
    const isNumbers = numbers.count === this.#present;
    return {
      name: this.name,
      present: this.#present,
      missing: this.#missing,
      missingAs: [...this.#missingAs],
      booleans: this.#booleans,
      dates: this.#dates,
      firstUndated: this.#firstUndated,
      measures: this.#measures,
      firstMeasure: this.#firstMeasure,
      numbers,
      ambiguous: isAmbiguous ? numbers.firstGrouped : undefined,
      texts: this.#texts,
      // What is written as 1200.0 is measured, also where all of it is whole.
      isUnique: isNumbers
        ? numbers.isWhole && this.#wholeNumbers !== undefined
        : this.#texts !== undefined && !this.#hasTextTwice,
    };
  }
}
