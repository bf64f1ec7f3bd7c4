/** The categories that a declaration leaves to the data: of a text without any, and new ones where it may grow. */
import { byCodePoints, listed } from '../contract/categories.ts';
import type { ColumnFacts } from '../contract/column-facts.ts';
import { type Contract, createContract } from '../contract/contract.ts';
import { parseDeclaration } from '../contract/declaration.ts';
import type { Feature } from '../contract/features-schema.ts';
import { RidgelineError } from '../errors.ts';
import { readDecimal } from './decimal.ts';

interface Learned {
  feature: Feature;
  /** Of what is added to declared categories. */
  note?: string;
}

/**
 * `columns` are those of the features, in their order. Declared categories stay first and in their order, and where
 * `mayGrow`, those that the data have besides come after them. The contract is the same object where nothing is learned.
 */
export function learnCategories(
  contract: Contract,
  columns: readonly ColumnFacts[],
  mayGrow: boolean,
): { contract: Contract; notes: string[] } {
  const learned = contract.features.map((feature, i) => learn(feature, columns[i]!, mayGrow));
  const notes = learned.flatMap(({ note }) => note ?? []);
  const features = learned.map(({ feature }) => feature);
  if (features.every((feature, i) => feature === contract.features[i])) return { contract, notes };
  return { contract: createContract(parseDeclaration({ ...contract.declaration, features })), notes };
}

export function learnsCategories({ dtype, categories, unknown }: Feature, mayGrow: boolean): boolean {
  return categories ? mayGrow && unknown === 'accept' : dtype === 'string';
}

function learn(feature: Feature, column: ColumnFacts, mayGrow: boolean): Learned {
  if (!learnsCategories(feature, mayGrow)) return { feature };
  const { name, dtype, categories, null_as } = feature;
  if (!column.texts) {
    const detail = `${name} has more categories than can be declared. Drop the column, or put them into groups.`;
    throw new RidgelineError('training_data', { detail });
  }
  const known = new Set<unknown>([...(categories ?? []), null_as]);
  const values = [...(dtype === 'string' ? column.texts : wholeNumbers(column))].filter((value) => !known.has(value));
  if (values.length === 0 && categories) return { feature };
  const found =
    dtype === 'string' ? (values as string[]).sort(byCodePoints) : (values as number[]).sort((a, b) => a - b);
  const added = { ...feature, categories: [...(categories ?? []), ...found] };
  return categories
    ? { feature: added, note: `${name}: new categories, which are appended: ${listed(found)}.` }
    : { feature: added };
}

/** What else is in the column is refused when its rows are read. */
function wholeNumbers({ texts, numbers }: ColumnFacts): Set<number> {
  const values = Array.from(texts ?? [], (text) => readDecimal(text, numbers.mark));
  return new Set(values.filter(Number.isSafeInteger));
}
