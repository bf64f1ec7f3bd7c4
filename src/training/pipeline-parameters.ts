/** How the rows of a contract are learned from: which columns are imputed by what, which are scaled, which encoded. */
import { type Contract, featuresOfKind, mayBeMissing } from '../contract/contract.ts';
import { valueOfSlot } from '../contract/rows.ts';
import type { Value } from '../contract/values.ts';
import type { KnownCategories } from '../estimators/one-hot-encoder.ts';
import type { PipelineParameters } from '../estimators/pipeline.ts';
import type { ImputedColumn } from '../estimators/simple-imputer.ts';

/**
 * The slot of null where it is a category of its own. No value has it: whole numbers end below, and a contract has fewer
 * texts. Rows in which nothing was null teach no such category, and null then is like any unknown one.
 */
const MISSING_CATEGORY = 2 ** 53;

export function pipelineParameters(contract: Contract, alpha: number): PipelineParameters {
  return {
    alpha,
    numerical: featuresOfKind(contract, 'numerical'),
    categorical: featuresOfKind(contract, 'categorical'),
    imputed: imputedColumns(contract),
    known: knownCategories(contract),
  };
}

function imputedColumns(contract: Contract): ImputedColumn[] {
  const slotOf = slotsIn(contract);
  return contract.features.flatMap((feature, column): ImputedColumn[] => {
    if (!mayBeMissing(feature)) return [];
    const { null_as, kind } = feature;
    if (null_as !== undefined) return [{ column, strategy: 'constant', fillValue: slotOf(null_as) }];
    if (kind === 'numerical') return [{ column, strategy: 'mean' }];
    return [{ column, strategy: 'constant', fillValue: MISSING_CATEGORY }];
  });
}

/** Whole numbers and booleans without declared categories learn those of the data; texts have a place only if declared. */
export function knownCategories(contract: Contract): KnownCategories {
  const slotOf = slotsIn(contract);
  const known = new Map<number, ReadonlySet<number>>();
  contract.features.forEach(({ dtype, categories, null_as }, column) => {
    if (dtype !== 'string' && categories === undefined) return;
    const declared = [...(categories ?? []), null_as ?? []].flat();
    known.set(column, new Set([...declared.map(slotOf), MISSING_CATEGORY]));
  });
  return known;
}

/** What a category that was learned stands for, as the declaration has it; null for that of missing values. */
export function categoryName(contract: Contract, column: number, category: number): Value {
  return category === MISSING_CATEGORY ? null : valueOfSlot(contract.features[column]!, category, { contract });
}

/** The slots of values of a declaration. */
function slotsIn({ texts }: Contract): (value: string | number | boolean) => number {
  const places = new Map(texts.map((text, place) => [text, place]));
  return (value) => (typeof value === 'string' ? places.get(value)! : Number(value));
}
