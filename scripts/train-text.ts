/** What `npm run train` says, to people and as JSON. */
import type { ContractChanges } from '../src/contract/compare.ts';
import type { Column } from '../src/contract/contract.ts';
import type { NewPipeline } from '../src/registry/pipeline-versions.ts';
import { table } from './text-table.ts';

/** What is served while the training runs. */
export interface ServedFigures {
  version: string;
  metrics: Record<string, number | null>;
}

/** What becomes of the trained pipeline, or under --dry-run would become of it. */
export interface Decision {
  decision: 'promoted' | 'held' | 'not_promoted';
  /** In a word: always, never, a doubt about the data, or what holds schedules. */
  reason: string;
  /** Why it is not promoted. */
  sentence?: string | undefined;
}

export interface Outcome extends Decision {
  pipeline: NewPipeline;
  /** Null where nothing was published. */
  version: string | null;
  /** Undefined where nothing is served, or something that predicts another thing. */
  served: ServedFigures | undefined;
  /** The path of its file in models/, if it was written. */
  path: string | undefined;
  durationMs: number;
}

export interface PlanShown extends ContractChanges {
  /** What was decided about the data. */
  notes: readonly string[];
  /** Those that a promotion adds to `predictions`. */
  columns: readonly Column[];
}

/** What a person should read before anything is published. */
export function planText({ notes, columns, breaking, compatible }: PlanShown): string[] {
  const added = columns.map(({ name, type }) => `${name} ${type}`);
  const changes = [...breaking, ...compatible];
  return [
    ...notes,
    ...(added.length > 0 ? [`\nColumns that a promotion adds to predictions: ${added.join(', ')}`] : []),
    ...(changes.length > 0 ? [['\nWhat changes for callers:', ...changes].join('\n  ')] : []),
  ];
}

export function outcomeJson({ pipeline, version, decision, reason, durationMs }: Outcome): string {
  const { sha256, metrics } = pipeline;
  const promoted = version !== null && decision === 'promoted';
  return JSON.stringify({ version, sha256, promoted, decision, reason, gate: null, metrics, duration_ms: durationMs });
}

export function outcomeText(outcome: Outcome): string {
  const { pipeline, version, served, path, durationMs } = outcome;
  const { sha256, metrics, hyperparameters } = pipeline;
  const did = version === null ? 'Trained a pipeline' : `Published pipeline version ${version}`;
  const line = (name: string, of: ServedFigures['metrics'], kind: string) => [
    `  ${name}`,
    ...['rmse', 'mae', 'r2'].map((measure) => of[`${kind}_${measure}`]?.toFixed(4) ?? '-'),
  ];
  const lines = [
    line(`${hyperparameters.folds}-fold cross-validation`, metrics, 'cv'),
    ...(served ? [line(`served: ${served.version}`, served.metrics, 'cv')] : []),
    line('training rows', metrics, 'train'),
  ];
  return [
    `${did} in ${durationMs} ms (alpha ${hyperparameters.alpha}, ${metrics.rows} rows)\n`,
    table(['', 'RMSE', 'MAE', 'R2'], lines, 1),
    `\n  ${decisionText(outcome)}\n`,
    `  SHA-256 ${sha256}`,
    ...(path === undefined ? [] : [`  ${path}`]),
  ].join('\n');
}

function decisionText({ version, decision, sentence = '' }: Outcome): string {
  if (version === null) {
    const would = decision === 'promoted' ? 'It would be promoted.' : 'It would be published, and not promoted.';
    return ['Nothing is published.', would, sentence].join(' ').trim();
  }
  if (decision === 'promoted') return 'It is promoted: running servers switch to it.';
  const how = `npm run pipelines -- promote ${version} --reason TEXT`;
  return `${['It is not promoted.', sentence].join(' ').trim()}\n  To make it the served one: ${how}`;
}
