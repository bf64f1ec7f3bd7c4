/** The columns of a file under a contract that is given, and what the contract leaves to the file. */
import { type ColumnFacts, shown } from '../contract/column-facts.ts';
import type { Contract } from '../contract/contract.ts';
import type { Feature } from '../contract/features-schema.ts';
import { RidgelineError } from '../errors.ts';
import type { Columns } from './csv-dataset.ts';
import type { Layout } from './csv-dialect.ts';
import { findColumns } from './csv-header.ts';
import { columnsOf, profileCsv } from './csv-profile.ts';
import type { CsvFile } from './csv-text.ts';
import { learnCategories, learnsCategories } from './learn-categories.ts';

export interface DeclaredColumns {
  /** With the categories that are learned. */
  contract: Contract;
  columns: Columns;
  notes: readonly string[];
}

/**
 * Reads the file only if something has to be known of all its rows. `mayGrow`: whether declared categories may be added to.
 * Throws `training_data` for a column that is missing, there twice, or ambiguous.
 */
export async function findDeclaredColumns(
  file: CsvFile,
  layout: Layout,
  { given, mayGrow }: { given: Contract; mayGrow: boolean },
): Promise<DeclaredColumns> {
  const positions = findColumns(layout, [...given.names, given.declaration.output.name]);
  const target = positions.pop()!;
  // Between commas numbers are written in one way.
  const others = positions.filter((_, i) => layout.separator !== ',' || learnsCategories(given.features[i]!, mayGrow));
  if (others.length === 0) {
    const features = positions.map((position) => ({ position, mark: '.' }) as const);
    return { contract: given, columns: { features, target: { position: target, mark: '.' } }, notes: [] };
  }
  const all = await profileCsv(file, layout, { target, others });
  const facts = positions.map((position) => all[position]!);
  refuseAmbiguous([...facts.filter((_, i) => isNumber(given.features[i]!)), all[target]!]);
  return { ...learnCategories(given, facts, mayGrow), columns: columnsOf(all, positions, target) };
}

const isNumber = ({ dtype }: Feature) => dtype === 'float64' || dtype === 'int64';

/** A mark that may be a decimal one, or between thousands, is not guessed. */
function refuseAmbiguous(columns: readonly ColumnFacts[]): void {
  for (const { name, ambiguous } of columns) {
    if (!ambiguous) continue;
    const detail = `${name}: ${shown(ambiguous)} may be a fraction, or grouped by thousands. Write 1.5 or 1500.`;
    throw new RidgelineError('training_data', { detail });
  }
}
