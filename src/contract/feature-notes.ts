/** A feature of a table as people are shown it, whether it was derived or declared: its type, categories and nulls. */
import { listed } from './categories.ts';
import type { Feature } from './features-schema.ts';

export interface MissingCells {
  count: number;
  /** How they are written; '' is an empty cell. */
  spellings: Iterable<string>;
}

type Shown = Pick<Feature, 'dtype' | 'kind' | 'categories' | 'null_as'>;

/** In parts, the first of which is the type. */
export function featureNotes(feature: Partial<Shown>, type: string, missing: MissingCells): string[] {
  const { categories } = feature;
  return [type, ...(categories ? [categoriesNote(categories)] : []), ...missingNotes(feature, missing)];
}

function categoriesNote(categories: readonly (string | number)[]): string {
  return `${categories.length} ${categories.length === 1 ? 'category' : 'categories'}: ${listed(categories)}`;
}

function missingNotes(feature: Partial<Shown>, { count, spellings }: MissingCells): string[] {
  if (count === 0) return [];
  const written = Array.from(spellings, (spelling) => spelling || 'empty').join(', ');
  return [`${count} missing (${written}), ${whatStandsForNull(feature)}`];
}

function whatStandsForNull({ kind, categories, null_as }: Partial<Shown>): string {
  const known: readonly unknown[] | undefined = categories;
  const isCategory = null_as === undefined ? kind === 'categorical' : known?.includes(null_as) === false;
  if (isCategory) return 'which are a category';
  return `for which ${null_as === undefined ? 'the mean' : JSON.stringify(null_as)} stands`;
}
