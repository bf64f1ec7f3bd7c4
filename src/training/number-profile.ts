/** What the cells of a column are as numbers with one decimal mark, noted cell by cell. */
import type { FoundText, NumberFacts } from '../contract/column-facts.ts';
import { type DecimalMark, isOtherNotation, mayBeGrouped, readDecimal } from './decimal.ts';

/** Such as 00501: what is counted and measured is not written so, but postal codes and numbers of articles are. */
const LEADING_ZERO = /^\s*[-+]?0\d/;

export class NumberProfile implements NumberFacts {
  readonly mark: DecimalMark;
  count = 0;
  isWhole = true;
  minimum = Number.POSITIVE_INFINITY;
  maximum = Number.NEGATIVE_INFINITY;
  firstOther: FoundText | undefined;
  otherNotations = 0;
  firstOtherNotation: FoundText | undefined;
  /** How many have the mark, and how many of these three digits behind it, as between thousands. */
  marked = 0;
  grouped = 0;
  firstGrouped: FoundText | undefined;

  constructor(mark: DecimalMark) {
    this.mark = mark;
  }

  /** The number, or NaN. */
  add(cell: string, line: number): number {
    const value = LEADING_ZERO.test(cell) ? Number.NaN : readDecimal(cell, this.mark);
    if (Number.isNaN(value)) this.#addOther(cell, line);
    else this.#addNumber(value, cell, line);
    return value;
  }

  #addOther(cell: string, line: number): void {
    this.firstOther ??= found(cell, line);
    if (!isOtherNotation(cell)) return;
    this.otherNotations++;
    this.firstOtherNotation ??= found(cell, line);
  }

  #addNumber(value: number, cell: string, line: number): void {
    this.count++;
    if (value < this.minimum) this.minimum = value;
    if (value > this.maximum) this.maximum = value;
    this.isWhole &&= !/[.,e]/i.test(cell);
    if (!cell.includes(this.mark)) return;
    this.marked++;
    if (!mayBeGrouped(cell)) return;
    this.grouped++;
    this.firstGrouped ??= found(cell, line);
  }

  /** Whether every mark may be one between thousands, and none is certain to be a decimal mark. */
  get mayBeGrouped(): boolean {
    return this.marked > 0 && this.grouped === this.marked;
  }

  get hasCertainMark(): boolean {
    return this.marked > this.grouped;
  }
}

/** A copy, as a part of a text that was read keeps all of it in memory. */
export function found(cell: string, line: number): FoundText {
  return { text: Buffer.from(cell).toString(), line };
}
