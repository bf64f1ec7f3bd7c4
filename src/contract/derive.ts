/**
 * A declaration from a table: the type of each column, its nulls and categories follow from all of its cells, and what
 * cannot be a feature is left out. Every decision is a line for people to read; a features file can decide otherwise.
 */
import { RidgelineError } from '../errors.ts';
import { type ColumnFacts, isNumbers, shown } from './column-facts.ts';
import { snakeCase } from './column-names.ts';
import { type DerivedFeature, decideColumn } from './derive-feature.ts';

export interface Table {
  /** Of the file, for the name of the declaration. */
  fileName: string;
  columns: readonly ColumnFacts[];
  /** The position of the column that is predicted. */
  target: number;
}

/** In the form of a features file. */
export interface DerivedDeclaration {
  name: string;
  features: DerivedFeature[];
  output: { task: 'regression'; name: string; example?: number };
}

/** As many as a declaration may have. */
const MOST_FEATURES = 400;

/** Throws `training_data` for a target that is not numbers, and where no column can be a feature. */
export function deriveDeclaration({ fileName, columns, target }: Table): {
  declaration: DerivedDeclaration;
  notes: string[];
} {
  const output = columns[target]!;
  refuseTarget(output);
  const decisions = columns.flatMap((column, i) => (column === output ? [] : decideColumn(column, i + 1)));
  const features = decisions.flatMap(({ feature }) => feature ?? []);
  const leftOut = decisions.flatMap(({ feature, note }) => (feature ? [] : note));
  if (features.length === 0) throw refuse(`No column can be a feature. ${leftOut.join(' ')}`);
  if (features.length > MOST_FEATURES) {
    throw refuse(`${features.length} columns can be features, and at most ${MOST_FEATURES} are served. Drop some.`);
  }
  return {
    declaration: { name: nameFrom(fileName), features, output: { task: 'regression', name: output.name } },
    notes: [
      ...decisions.flatMap(({ feature, note }) => (feature ? note : [])),
      // Together and last, so that none is missed among many.
      ...(leftOut.length > 0 ? ['Left out:', ...leftOut.map((note) => `  ${note}`)] : []),
    ],
  };
}

/** Only numbers are predicted so far. */
function refuseTarget(column: ColumnFacts): void {
  const { name, present, numbers, ambiguous } = column;
  const advice = 'Only numbers can be predicted.';
  if (present === 0) throw refuse(`No row has a value of ${name}, the target.`);
  if (!isNumbers(column)) {
    throw refuse(
      `The target ${name} has ${shown(numbers.firstOther!)}. ${advice} Write them as 1234.5, or empty the cell.`,
    );
  }
  if (ambiguous) {
    throw refuse(
      `The target ${name}: ${shown(ambiguous)} may be a fraction, or grouped by thousands. Write 1.5 or 1500.`,
    );
  }
}

/** "Flat prices (2024).csv.gz" becomes flat_prices_2024. */
function nameFrom(fileName: string): string {
  const plain = snakeCase(fileName.replace(/\.gz$/i, '').replace(/\.[a-z]{1,4}$/i, ''));
  return (/^[a-z]/.test(plain) ? plain : `data_${plain}`).slice(0, 40).replace(/_+$/, '');
}

const refuse = (detail: string) => new RidgelineError('training_data', { detail });
