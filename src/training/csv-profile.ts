/** The first of two readings of a CSV file, where it takes two: what its columns are, over all rows that have a target. */
import type { ColumnFacts } from '../contract/column-facts.ts';
import { ColumnProfile } from './column-profile.ts';
import type { Columns } from './csv-dataset.ts';
import type { Layout } from './csv-dialect.ts';
import { shownName } from './csv-header.ts';
import { missingSpelling } from './csv-missing.ts';
import { forEachRecord } from './csv-records.ts';
import type { CsvFile } from './csv-text.ts';
import type { DecimalMark } from './decimal.ts';

/** The positions of the columns that are looked at. Of the others nothing is known but their names. */
export interface Look {
  target: number;
  others: readonly number[];
}

/** The facts of each column, in the order of the file. */
export async function profileCsv(file: CsvFile, layout: Layout, { target, others }: Look): Promise<ColumnFacts[]> {
  const marks = marksOf(layout);
  const columns = layout.header.map((name) => new ColumnProfile(shownName(name), marks));
  await forEachRecord(file, layout, (fields, { row, line }) => {
    if (row === 0 || missingSpelling(fields[target]!) !== undefined) return;
    columns[target]!.add(fields[target]!, line);
    for (const position of others) columns[position]!.add(fields[position]!, line);
  });
  return factsOf(columns);
}

/** Columns at these positions, with the decimal marks that they turned out to have. */
export function columnsOf(facts: readonly ColumnFacts[], features: readonly number[], target: number): Columns {
  const columnAt = (position: number) => ({ position, mark: facts[position]!.numbers.mark });
  return { features: features.map(columnAt), target: columnAt(target) };
}

/** The decimal marks that there may be. Between commas a decimal comma cannot be told from one between thousands. */
function marksOf({ separator }: Layout): readonly DecimalMark[] {
  return separator === ',' ? ['.'] : ['.', ','];
}

/**
 * Each column has the decimal mark with which most of its cells are numbers. Marks that all have three digits behind them
 * may be between thousands, unless they are commas and another column has certain decimal commas, or points and none has.
 */
function factsOf(columns: readonly ColumnProfile[]): ColumnFacts[] {
  const chosen = columns.map(({ readings }) =>
    readings.reduce((best, other) => (other.count > best.count ? other : best)),
  );
  const hasDecimalCommas = chosen.some(({ mark, hasCertainMark }) => mark === ',' && hasCertainMark);
  return columns.map((column, i) => {
    const numbers = chosen[i]!;
    return column.facts(numbers, numbers.mayBeGrouped && (numbers.mark === ',') !== hasDecimalCommas);
  });
}
