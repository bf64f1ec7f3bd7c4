/** What `npm run train` says, to people and as JSON. */
import type { ServedFigures, TrainingPlan } from '../src/retraining/training-plan.ts';
import type { TrainingOutcome } from '../src/retraining/training-run.ts';
import { table } from './text-table.ts';

/** What a person should read before anything is published. */
export function planText({ notes, columns, breaking, compatible }: TrainingPlan): string[] {
  const added = columns.map(({ name, type }) => `${name} ${type}`);
  const changes = [...breaking, ...compatible];
  return [
    ...notes,
    ...(added.length > 0 ? [`\nColumns that a promotion adds to predictions: ${added.join(', ')}`] : []),
    ...(changes.length > 0 ? [['\nWhat changes for callers:', ...changes].join('\n  ')] : []),
  ];
}

export function outcomeJson(
  { pipeline, version, decision, reason, gate }: TrainingOutcome,
  durationMs: number,
): string {
  const { sha256, metrics } = pipeline;
  const promoted = version !== null && decision === 'promoted';
  return JSON.stringify({ version, sha256, promoted, decision, reason, gate, metrics, duration_ms: durationMs });
}

/** Where a schedule has too few rows to train on, as the plan says it. */
export function shortageJson(detail: string): string {
  const nothing = { version: null, promoted: false, decision: 'held', reason: 'too_few_labels', gate: null };
  return JSON.stringify({ ...nothing, detail });
}

export function outcomeText(outcome: TrainingOutcome, durationMs: number): string {
  const { pipeline, plan, version, file } = outcome;
  const { sha256, metrics, hyperparameters, trainingRows } = pipeline;
  const did = version === null ? 'Trained a pipeline' : `Published pipeline version ${version}`;
  const line = (name: string, of: ServedFigures['metrics'], kind: string) => [
    `  ${name}`,
    ...['rmse', 'mae', 'r2'].map((measure) => of[`${kind}_${measure}`]?.toFixed(4) ?? '-'),
  ];
  const lines = [
    line(`${hyperparameters.folds}-fold cross-validation`, metrics, 'cv'),
    ...(plan.served ? [line(`served: ${plan.served.version}`, plan.served.metrics, 'cv')] : []),
    line('training rows', metrics, 'train'),
  ];
  const labelled = trainingRows.labelled > 0 ? `, ${trainingRows.labelled} of them labelled predictions` : '';
  return [
    `${did} in ${durationMs} ms (alpha ${hyperparameters.alpha}, ${metrics.rows} rows${labelled})\n`,
    table(['', 'RMSE', 'MAE', 'R2'], lines, 1),
    `\n  ${decisionText(outcome)}\n`,
    `  SHA-256 ${sha256}`,
    ...(file && 'path' in file ? [`  ${file.path}`] : []),
  ].join('\n');
}

const WOULD = {
  promoted: 'It would be promoted.',
  held: 'It would be published and held, not promoted.',
  rejected: 'It would be published, and not promoted.',
  not_promoted: 'It would be published, and not promoted.',
  unchanged: '',
};

function decisionText({ version, decision, sentence = '' }: TrainingOutcome): string {
  if (version === null) return ['Nothing is published.', WOULD[decision], sentence].filter(Boolean).join(' ');
  if (decision === 'promoted') return ['It is promoted: running servers switch to it.', sentence].join(' ').trim();
  const how = `npm run pipelines -- promote ${version} --reason TEXT`;
  return `${['It is not promoted.', sentence].join(' ').trim()}\n  To make it the served one: ${how}`;
}
