/** A test in a sentence with its numbers, for the log and for people at a terminal. */
import type { GateEntry } from '../registry/gate-decisions.ts';
import { FEWEST_ROWS, rowsOfNextLook } from './verdict.ts';

type Told = Omit<GateEntry, 'gate_id' | 'pipeline_version'>;

export function describeGate(entry: Told): string {
  const { reason, n, champion_version: champion } = entry;
  switch (reason) {
    case 'first':
      return 'Nothing was served before.';
    case 'cv_not_worse':
      return `It has the rows of ${champion}, and its error in cross-validation is at most 1.02 times as large.`;
    case 'cv_worse':
      return `It has the rows of ${champion}, and its error in cross-validation is more than 1.02 times as large.`;
    case 'not_comparable':
      return `It takes other rows than ${champion}, so that they cannot be run on the same ones.`;
    case 'too_few_labels':
      return (
        `${n} labelled ${n === 1 ? 'prediction is' : 'predictions are'} new to ${champion}, and ${FEWEST_ROWS} are needed to ` +
        'judge by: it is judged when so many more have their truth.'
      );
    default:
      return `${numbersOf(entry)} ${VERDICTS[reason]?.(n) ?? ''}`.trim();
  }
}

const VERDICTS: Record<string, (n: number) => string> = {
  better: () => 'It is better.',
  worse: () => 'It is worse.',
  no_difference: (n) => `There is no difference${again(n)}.`,
  not_proven_better: (n) => `It is not proven to be better${again(n)}.`,
  breaking_change: () => 'It is better, and callers would notice: promote it by hand, with --breaking.',
  schedules_hold: () => 'It is better, and a person has chosen what is served.',
  champion_changed: () => 'Somebody has changed what is served meanwhile.',
};

function again(n: number): string {
  const next = rowsOfNextLook(n);
  return next === undefined ? '' : `; it is judged again when ${next} have their truth`;
}

function numbersOf({ n, holdout_from, holdout_to, champion_version, ...measured }: Told): string {
  const { champion_rmse, challenger_rmse, p_better, p_worse, alpha, look, reason } = measured;
  const day = (time: string | null) => time?.slice(0, 10) ?? '-';
  const p = reason === 'worse' ? `p of no worse ${shown(p_worse)}` : `p ${shown(p_better)} at level ${shown(alpha)}`;
  return (
    `On ${n} labelled predictions of ${day(holdout_from)} to ${day(holdout_to)}, new to both, its RMSE is ` +
    `${shown(challenger_rmse)} and that of ${champion_version} ${shown(champion_rmse)} (${p}, look ${look ?? '-'}).`
  );
}

const shown = (value: number | null) => (value === null ? '-' : String(Number(value.toPrecision(3))));
