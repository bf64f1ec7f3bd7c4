/** A cell of a CSV file as the slot of a declared feature (contract/rows.ts). What is not declared is refused. */
import { type Contract, mayBeMissing } from '../contract/contract.ts';
import type { Feature } from '../contract/features-schema.ts';
import { missingSpelling } from './csv-missing.ts';
import { type DecimalMark, readDecimal } from './decimal.ts';

export interface CellReader {
  /** The slot of a cell. Throws what is wrong with it, and what to do. */
  read(cell: string): number;
  /** How many cells so far have held a value beyond the declared categories. */
  unknown: number;
  /** How many so far have held none, and how these are written. */
  missing: { count: number; spellings: Set<string> };
}

/** How much of a cell is shown. */
const SHOWN_CHARACTERS = 40;

/** `mark` is the decimal mark of the column. */
export function createCellReader(feature: Feature, contract: Contract, mark: DecimalMark): CellReader {
  const { dtype, categories, null_as, unknown } = feature;
  const isText = dtype === 'string';
  const known = categories && new Set([...categories, ...(null_as === undefined ? [] : [null_as])]);
  const isNullable = mayBeMissing(feature);
  const slotOf = isText ? textSlots(feature, contract) : numberSlots(feature, mark);
  return {
    unknown: 0,
    missing: { count: 0, spellings: new Set() },
    read(cell) {
      const spelling = missingSpelling(cell);
      // A declared category may be spelled as missing values are: NA is Namibia.
      if (spelling !== undefined && !(isText && known?.has(cell))) {
        if (isNullable) {
          this.missing.count++;
          this.missing.spellings.add(spelling);
          return Number.NaN;
        }
        throw new Error(`${shown(cell)} is a missing value, and null is not declared. Fill it in or drop the row`);
      }
      const slot = slotOf(cell);
      if (known && !known.has(isText ? cell : slot)) {
        if (unknown === 'refuse') throw new Error(`${shown(cell)} is no declared category. Declare it or drop the row`);
        this.unknown++;
      }
      return slot;
    },
  };
}

/** A text that the contract does not have gets the place after its own, which is none of theirs. */
function textSlots({ max_length }: Feature, { texts, places }: Contract): CellReader['read'] {
  return (cell) => {
    const bytes = Buffer.byteLength(cell);
    if (bytes > max_length)
      throw new Error(`a text of ${bytes} bytes is longer than max_length, ${max_length}. Shorten it`);
    return places.get(cell) ?? texts.length;
  };
}

function numberSlots({ dtype, minimum, maximum }: Feature, mark: DecimalMark): CellReader['read'] {
  if (dtype === 'bool') return readBoolean;
  return (cell) => {
    const value = readNumber(cell, mark);
    if (dtype === 'int64' && !Number.isSafeInteger(value)) {
      throw new Error(`${shown(cell)} is no whole number up to 2^53 - 1. Correct it or declare float64`);
    }
    if (minimum !== undefined && value < minimum) throw new Error(`${value} is below the declared minimum, ${minimum}`);
    if (maximum !== undefined && value > maximum) throw new Error(`${value} is above the declared maximum, ${maximum}`);
    return value;
  };
}

function readBoolean(cell: string): number {
  const word = cell.trim().toLowerCase();
  if (word !== 'true' && word !== 'false') throw new Error(`${shown(cell)} is neither true nor false. Correct it`);
  return Number(word === 'true');
}

export function readNumber(cell: string, mark: DecimalMark): number {
  const value = readDecimal(cell, mark);
  if (!Number.isNaN(value)) return value;
  const isOtherBase = cell.trim() !== '' && Number.isFinite(Number(cell));
  const kind = isOtherBase ? 'number in decimal' : 'finite number';
  throw new Error(`${shown(cell)} is not a ${kind}. Correct or drop the row`);
}

const shown = (cell: string) => JSON.stringify(cell.trim().slice(0, SHOWN_CHARACTERS));
