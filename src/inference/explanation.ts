/**
 * What each feature adds to a prediction. The pipelines that are trained here are linear in what they make of each feature, so
 * that this is exact: base value and contributions add up to the prediction. As SHAP's LinearExplainer with all training rows
 * as its independent background, the indicators of a category summed.
 */
import { agrees, sizeOf } from '../agreement.ts';
import type { Contract } from '../contract/contract.ts';
import type { Feature } from '../contract/features-schema.ts';
import { fromValues, type GoldenRows } from '../contract/rows.ts';
import { RidgelineError } from '../errors.ts';

/** As it is kept with a version. */
export interface Explanation {
  /** What is predicted for the average of the training rows, in the target's unit. */
  base_value: number;
  /** By the name of the feature. */
  features: Record<string, NumericalEffect | CategoricalEffect>;
}

/** slope * (value - mean), or `missing` for null. */
export interface NumericalEffect {
  kind: 'numerical';
  /** In the target's unit for one unit of the feature. */
  slope: number;
  mean: number;
  missing: number;
}

/** What a category adds, by `String` of its value. All are measured from their mean over the training rows. */
export interface CategoricalEffect {
  kind: 'categorical';
  effects: Record<string, number>;
  /** Of a category that was not learned. */
  other: number;
  missing: number;
}

export interface Explainer {
  baseValue: number;
  /** The contributions to one row of slots that begins at `from`, in the declared order, in the target's unit. */
  contributions(slots: ArrayLike<number>, from?: number): number[];
}

/** Reads what is stored, which may be any JSON; throws `bad_artefact` unless it says what each feature of the contract adds. */
export function createExplainer(stored: unknown, contract: Contract): Explainer {
  const { base_value: baseValue, features } = (stored ?? {}) as Partial<Explanation>;
  if (!isNumber(baseValue)) throw rejection('It has no base value.');
  const effects = new Map(Object.entries((features ?? {}) as Record<string, unknown>));
  const effectOf = contract.features.map((feature) => {
    const effect = readEffect(feature, effects.get(feature.name), contract);
    if (!effect) throw rejection(`It does not say what ${feature.name} adds.`);
    return effect;
  });
  return {
    baseValue,
    contributions: (slots, from = 0) => effectOf.map((effect, column) => effect(slots[from + column]!)),
  };
}

/** Throws `bad_artefact` unless base value and contributions add up to the answers of the fit. */
export function checkExplainer(
  { baseValue, contributions }: Explainer,
  { features, predictions }: GoldenRows,
  contract: Contract,
): void {
  const slots = fromValues(contract, features).features;
  const size = sizeOf(predictions);
  predictions.forEach((prediction, row) => {
    const added = contributions(slots, row * contract.features.length).reduce((sum, one) => sum + one, baseValue);
    if (agrees(added, prediction, size)) return;
    throw rejection(`To golden row ${row + 1} it adds up to ${added} where the fit gave ${prediction}.`);
  });
}

/** What a slot of the feature adds; undefined where what is stored does not say it. */
function readEffect(feature: Feature, stored: unknown, { texts }: Contract): ((slot: number) => number) | undefined {
  const effect = (stored ?? {}) as Partial<Omit<NumericalEffect, 'kind'> & Omit<CategoricalEffect, 'kind'>>;
  const { slope, mean, missing, effects = {}, other } = effect;
  if (!isNumber(missing)) return undefined;
  if (feature.kind === 'numerical') {
    if (!isNumber(slope) || !isNumber(mean)) return undefined;
    return (slot) => (Number.isNaN(slot) ? missing : slope * (slot - mean));
  }
  const named = Object.entries(effects);
  if (!isNumber(other) || !named.every(([, one]) => isNumber(one))) return undefined;
  const byName = new Map(named);
  const nameOf = (slot: number) =>
    feature.dtype === 'string' ? texts[slot] : feature.dtype === 'bool' ? String(slot === 1) : String(slot);
  return (slot) => {
    if (Number.isNaN(slot)) return missing;
    const name = nameOf(slot);
    return (name === undefined ? undefined : byName.get(name)) ?? other;
  };
}

const isNumber = (value: unknown): value is number => Number.isFinite(value);
const rejection = (detail: string) =>
  new RidgelineError('bad_artefact', { detail: `The explanation does not fit the pipeline. ${detail}` });
