/** What was decided when a data set was read, a line each, for people to read before anything is published. */
import { basename } from 'node:path';
import type { Contract } from '../contract/contract.ts';
import { featureNotes } from '../contract/feature-notes.ts';
import type { Columns, CsvDataset } from './csv-dataset.ts';
import { type Layout, separators } from './csv-dialect.ts';
import { shownName } from './csv-header.ts';

/** What a file has, and its target. */
export function fileNotes(
  path: string,
  { separator, header }: Layout,
  target: Columns['target'],
  read: CsvDataset,
): string[] {
  const { rows, dataset } = read;
  const size = `${counted(rows, 'row')} and ${counted(header.length, 'column')}, between ${separators[separator]}`;
  const { y } = dataset;
  const least = y.reduce((one, other) => Math.min(one, other));
  const most = y.reduce((one, other) => Math.max(one, other));
  const range = `from ${least} to ${most}${target.mark === ',' ? ', with decimal commas' : ''}`;
  const left = rows - y.length;
  return [
    `${basename(path)}: ${size}.`,
    `${shownName(header[target.position]!)}: the target, ${range}${left > 0 ? `; ${counted(left, 'row')} without it left out` : ''}.`,
  ];
}

/** What is declared, as it is told of what is derived. */
export function declaredNotes({ features }: Contract, columns: Columns, { missing }: CsvDataset): string[] {
  return features.map((feature, i) => {
    const { name, dtype } = feature;
    const hasCommas = dtype === 'float64' && columns.features[i]!.mark === ',';
    const type = hasCommas ? 'float64, with decimal commas' : dtype;
    return `${name}: ${featureNotes(feature, type, missing[i]!).join('; ')}.`;
  });
}

/** The columns of the file that are neither features nor the target. */
export function unusedNotes({ header }: Layout, { features, target }: Columns): string[] {
  const used = new Set([...features, target].map(({ position }) => position));
  const unused = header.filter((_, position) => !used.has(position));
  if (unused.length === 0) return [];
  const names = unused.map((name) => shownName(name) || 'a column without a name');
  return [`Not declared, and left out: ${names.join(', ')}.`];
}

/** The features that have values beyond their categories. */
export function unknownNotes({ names }: Contract, { unknown }: CsvDataset): string[] {
  return names.flatMap((name, i) => {
    const count = unknown[i]!;
    return count > 0
      ? `${name}: ${counted(count, 'cell')} beyond the declared categories, trained as none of them.`
      : [];
  });
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;
