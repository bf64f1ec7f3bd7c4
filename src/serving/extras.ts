/** What a caller may want beside a prediction, told by the version that has answered: an interval, and what each feature adds. */
import { RidgelineError } from '../errors.ts';
import { type HalfWidths, placeOfLevel } from '../inference/half-widths.ts';
import type { Predictor } from '../inference/predictor.ts';
import type { Answer, Job, Wanted } from './outcome.ts';

/** The level that a text names, such as 0.9 or 0.90; undefined of any other text. */
export function levelOf(text: string): number | undefined {
  const level = Number(text);
  return /^0\.\d+$/.test(text) && placeOfLevel(level) !== undefined ? level : undefined;
}

export type HalfWidthsInForce = (predictor: Predictor) => HalfWidths | null;

/** Why the version cannot tell it; undefined where it can. Asked before anything is stored. */
export function refusalOfWanted(
  { interval, contributions }: Wanted,
  predictor: Predictor,
  halfWidthsOf: HalfWidthsInForce,
): RidgelineError | undefined {
  if (interval !== undefined && !Number.isFinite(halfWidthAt(interval, halfWidthsOf(predictor)))) {
    const parameter = {
      parameter: 'interval',
      code: 'unavailable',
      message: 'Leave it out, or ask for a lower level.',
    };
    return new RidgelineError('interval_unavailable', { errors: [parameter] });
  }
  if (contributions && !predictor.explainer) {
    const parameter = { parameter: 'contributions', code: 'unavailable', message: 'Leave it out.' };
    return new RidgelineError('contributions_unavailable', { errors: [parameter] });
  }
  return undefined;
}

/** Of rows for which it is not refused. */
export function extrasFor(
  { rows, features, contract }: Job,
  { interval, contributions }: Wanted,
  predictor: Predictor,
  halfWidthsOf: HalfWidthsInForce,
): Pick<Answer, 'halfWidth' | 'contributions'> {
  const { explainer } = predictor;
  const width = contract.features.length;
  return {
    ...(interval !== undefined && { halfWidth: halfWidthAt(interval, halfWidthsOf(predictor)) }),
    ...(contributions &&
      explainer && {
        contributions: {
          baseValue: explainer.baseValue,
          rows: Array.from({ length: rows }, (_, row) => explainer.contributions(features, row * width)),
        },
      }),
  };
}

function halfWidthAt(level: number, halfWidths: HalfWidths | null): number {
  return halfWidths?.[placeOfLevel(level) ?? -1] ?? Number.POSITIVE_INFINITY;
}
