/** What `npm run pipelines` shows to people, in 80 columns. */
import type { Declaration } from '../src/contract/features-schema.ts';
import type { Comparison, CrossValidation } from '../src/monitoring/compare-versions.ts';
import type { Divergence } from '../src/monitoring/divergence.ts';
import type { QualityMeasures } from '../src/monitoring/quality-measures.ts';
import type { GateEntry } from '../src/registry/gate-decisions.ts';
import type { PromotionEntry } from '../src/registry/promotions.ts';
import type { VersionDetails, VersionPage, VersionSummary } from '../src/registry/version-catalogue.ts';
import { table } from './text-table.ts';

const WIDTH = 80;

const shown = (value: number | null | undefined, digits = 4) => value?.toFixed(digits) ?? '-';
const minute = (time: string | null) => time?.slice(0, 16).replace('T', ' ') ?? '-';
const second = (time: string) => `${time.slice(0, 19).replace('T', ' ')} UTC`;

/** `targets`: what each version predicts. A line names it above the versions of which it is: others have errors in another unit. */
export function listText(
  { pipelines, next }: VersionPage,
  { targets, hold }: { targets: ReadonlyMap<string, string>; hold: string | undefined },
): string {
  if (pipelines.length === 0) return 'There is no version yet. npm start, or npm run train, publishes the first.';
  const rows = pipelines.map(({ version, role, promoted_at, metrics, training_rows }) => [
    ...[version, role, minute(promoted_at)],
    ...[shown(metrics.cv_rmse), shown(metrics.cv_r2), String(rowsOf(training_rows) ?? '-')],
  ]);
  const heads = ['version', 'role', 'promoted (UTC)', 'CV RMSE', 'CV R2', 'rows'];
  const [head, ...lines] = table(heads, rows, 3).split('\n') as [string, ...string[]];
  const targetOf = (i: number) => targets.get(pipelines[i]?.version ?? '');
  return [
    head,
    ...lines.flatMap((line, i) => (targetOf(i) === targetOf(i - 1) ? line : [cut(`Of ${targetOf(i) ?? '-'}:`), line])),
    ...(next === null ? [] : [`\nOlder ones: npm run pipelines -- list --before ${next}`]),
    ...(hold === undefined ? [] : [`\n${wrapped(hold)}`]),
  ].join('\n');
}

function rowsOf({ shipped, labelled }: VersionSummary['training_rows']): number | null {
  return shipped === null ? null : shipped + (labelled ?? 0);
}

export function detailsText(details: VersionDetails, divergence: MeasuredDivergence | undefined): string {
  const { version, role, created_at, rejected_reason, sha256, metrics, trained_through, gates, promotions } = details;
  const facts = [
    ['published', second(created_at)],
    ...(rejected_reason === null ? [] : [['rejected', rejected_reason]]),
    ['trained on', trainingText(details)],
    ...(trained_through === null ? [] : [['up to', `predictions of ${second(trained_through)}`]]),
    [
      'with',
      Object.entries(details.hyperparameters)
        .map(([name, value]) => `${name} ${value}`)
        .join(', '),
    ],
    ['SHA-256', sha256],
  ] as const;
  const measures = [
    ['cross-validation', shown(metrics.cv_rmse), shown(metrics.cv_mae), shown(metrics.cv_r2)],
    ['training rows', shown(metrics.train_rmse), shown(metrics.train_mae), shown(metrics.train_r2)],
  ];
  return [
    `${version}  ${role}\n`,
    ...facts.map(([name, text]) => wrapped(`${name.padEnd(13)}${text}`, 13)),
    `\n${table(['', 'RMSE', 'MAE', 'R2'], measures, 1)}`,
    `\n${declarationText(details.declaration as unknown as Declaration)}`,
    ...(gates.length === 0 ? [] : [`\n${gatesText(gates)}`]),
    ...(divergence ? [`\n${wrapped(divergenceText(divergence))}`] : []),
    `\n${promotions.length === 0 ? 'It was never promoted.' : promotionsText(promotions)}`,
  ].join('\n');
}

function trainingText({ training_rows, data_file }: VersionDetails): string {
  const { shipped, labelled, duplicates } = training_rows;
  const more = [
    ...(labelled ? [`${labelled} labelled`] : []),
    ...(duplicates ? [`${duplicates} duplicates left out`] : []),
  ];
  if (data_file === null) return [`${shipped ?? '-'} rows`, ...more].join(', ');
  const { name, rows, columns, sha256 } = data_file;
  return [
    `${shipped ?? '-'} rows of ${name}`,
    ...more,
    `which has ${rows} and ${columns} columns, SHA-256 ${sha256}`,
  ].join(', ');
}

function declarationText({ name, features, output }: Partial<Declaration>): string {
  const rows = (features ?? []).map(({ name: feature, dtype, kind, nullable, optional }) => [
    feature.length > 40 ? `${feature.slice(0, 39)}…` : feature,
    ...[dtype, kind],
    [nullable ? 'null' : [], optional ? 'optional' : []].flat().join(', '),
  ]);
  const head = wrapped(`${name} predicts ${output?.name ?? '-'} from ${rows.length} features:`);
  return `${head}\n\n${table(['feature', 'type', 'kind', 'may be'], rows, 4)}`;
}

function promotionsText(promotions: readonly PromotionEntry[]): string {
  const rows = promotions.map(({ promoted_at, action, promoted_by, reason }) => [
    ...[minute(promoted_at), action, promoted_by],
    reason,
  ]);
  return table(['promoted (UTC)', 'action', 'by', 'reason'], rows, 4).split('\n').map(cut).join('\n');
}

function gatesText(gates: readonly GateEntry[]): string {
  const rows = gates.map(({ decided_at, look, n, champion_rmse, challenger_rmse, p_better, decision, reason }) => [
    ...[minute(decided_at), `${look ?? '-'}`, `${n}`, shown(challenger_rmse, 3), shown(champion_rmse, 3)],
    ...[p_better === null ? '-' : p_better.toPrecision(2), decision, reason],
  ]);
  const heads = ['judged (UTC)', 'look', 'rows', 'RMSE', 'served', 'p', 'decision', 'reason'];
  return table(heads, rows, 6).split('\n').map(cut).join('\n');
}

type MeasuredDivergence = Divergence & { measuredAt: Date };

/** What a challenger would have answered on the last day, beside what was served. */
export function divergenceText({ measuredAt, champion, rows, seen, ...differences }: MeasuredDivergence): string {
  const { mean_absolute_difference: mean, p95_absolute_difference: p95, beyond_interval_share: beyond } = differences;
  const day = `on the day before ${minute(measuredAt.toISOString())} UTC`;
  if (rows === 0) return `In the shadow of ${champion}, ${day}, there was no row that both could be run on.`;
  const outside =
    beyond === null ? '' : ` ${(100 * beyond).toFixed(1)} % of its answers are outside of the other's 90 % interval.`;
  const learned = seen === 0 ? '' : ` It may have learned from ${seen} of these rows.`;
  return (
    `In the shadow of ${champion}, on ${rows} rows that were answered ${day}, it differs by ${shown(mean, 3)} on average, ` +
    `and by less than ${shown(p95, 3)} on 95 %.${outside}${learned}`
  );
}

const cut = (line: string) => (line.length > WIDTH ? `${line.slice(0, WIDTH - 1)}…` : line);

export function comparisonText(
  { a, b, cross_validation, field, agreement }: Comparison,
  notes: readonly string[],
): string {
  const line = (name: string, { rmse, mae, r2 }: CrossValidation) => [name, shown(rmse), shown(mae), shown(r2)];
  const { rows, mean_absolute_difference: mean, p95_absolute_difference: p95, correlation } = agreement;
  return [
    'Cross-validation, each on the rows that it was trained on:\n',
    table(['', 'RMSE', 'MAE', 'R2'], [line(a, cross_validation.a), line(b, cross_validation.b)], 1),
    fieldText(field, [a, b]),
    `\nTheir answers to ${rows} of the newest stored rows:\n`,
    table(['mean difference', '95 % are within', 'correlation'], [[shown(mean), shown(p95), shown(correlation)]], 0),
    ...notes.map((note) => `\n${wrapped(note)}`),
  ].join('\n');
}

function fieldText(field: Comparison['field'], [a, b]: readonly [string, string]): string {
  if (!field) return '\nIn the field there is no day on which truths of both are known.';
  const line = (name: string, { labels, rmse, rmse_lower: lower, rmse_upper: upper, mae, bias }: QualityMeasures) => [
    ...[name, String(labels), shown(rmse), `${shown(lower)} to ${shown(upper)}`, shown(mae), shown(bias)],
  ];
  return [
    `\nIn the field, from ${field.from} to ${field.to}, on days on which both answered:\n`,
    table(['', 'labels', 'RMSE', '95 %', 'MAE', 'bias'], [line(a, field.a), line(b, field.b)], 1),
  ].join('\n');
}

export function promotionText({ version, previous, action }: PromotionEntry): string {
  if (action === 'resume') return `Scheduled trainings go on; ${version} is served.`;
  const after = previous === null || previous === version ? '' : ` in the place of ${previous}`;
  return [
    `${version} is promoted${after}.`,
    'Running servers switch to it. Scheduled trainings hold until',
    'npm run pipelines -- resume --reason TEXT',
  ].join('\n');
}

/** In lines of the width, those after the first set in by so many columns. */
function wrapped(text: string, indent = 0): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + 1 + word.length > WIDTH) lines.push(' '.repeat(indent) + word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}
