/** The table at the end: what was measured, its spread, the bar, and whether it was met. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

export interface Row {
  what: string;
  measured: string;
  /** From the least to the most of the rounds. */
  spread?: string;
  bar?: string;
  verdict?: 'met' | 'missed' | 'failed';
  note?: string | undefined;
}

/** `x` is a ratio; `MB` is 10^6 bytes. */
export type Unit = 'x' | 'us' | 'ms' | 's' | 'MB' | '/s';

const DIGITS: Record<Unit, number> = { x: 2, us: 1, ms: 2, s: 2, MB: 1, '/s': 0 };

export function format(value: number, unit: Unit): string {
  if (!Number.isFinite(value)) return '–';
  const digits = DIGITS[unit];
  const text = value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return unit === 'x' || unit === '/s' ? `${text}${unit}` : `${text} ${unit}`;
}

/** One row from one value a round: the median is held against the bar. */
export function figure(
  what: string,
  values: readonly number[],
  { unit, note, atLeast, atMost }: { unit: Unit; note?: string | undefined; atLeast?: number; atMost?: number },
): Row {
  const middle = median(values);
  const [words, limit] = atLeast === undefined ? ['at most', atMost] : ['at least', atLeast];
  const met = middle >= (atLeast ?? Number.NEGATIVE_INFINITY) && middle <= (atMost ?? Number.POSITIVE_INFINITY);
  return {
    what,
    measured: format(middle, unit),
    ...(values.length > 1 && { spread: `${format(Math.min(...values), unit)} – ${format(Math.max(...values), unit)}` }),
    ...(limit !== undefined && { bar: `${words} ${format(limit, unit)}`, verdict: met ? 'met' : 'missed' }),
    note,
  };
}

/** The ratio of two figures in each round. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, round) => value / theirs[round]!);
}

/** The value below which the share `q` (0 to 1) of the sorted values lies; NaN when there are none. */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

/** The middle value, or the mean of the two in the middle: not moved by a round in which the machine did something else. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle - 1)]! + sorted[Math.floor(middle)]!) / 2;
}

const COLUMNS = ['What', 'Measured', 'Spread', 'Bar', '', 'Note'];
const cells = (row: Row) => [
  row.what,
  row.measured,
  row.spread ?? '',
  row.bar ?? '',
  row.verdict ?? '',
  row.note ?? '',
];

export function asText(rows: readonly Row[]): string {
  const table = [COLUMNS, ...rows.map(cells)];
  const widths = COLUMNS.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Writes the table into a document, between two comments such as `<!-- bench: begin -->` and its end. */
export function writeInto(file: string, name: string, rows: readonly Row[], facts: readonly string[]): void {
  const text = readFileSync(file, 'utf8');
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from === -1 || to < from)
    throw new Error(`--markdown ${file}: the document needs the lines ${begin} and ${end}.`);
  const line = (row: readonly string[]) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const strong = (row: Row) =>
    row.verdict && row.verdict !== 'met' ? cells(row).with(4, `**${row.verdict}**`) : cells(row);
  const machine =
    `${cpus().length} cores (${cpus()[0]?.model.trim() || process.arch}), ${Math.round(totalmem() / 2 ** 30)} GiB, ` +
    `Node ${process.versions.node}, ${process.platform} ${process.arch}`;
  const table = [
    ...[...facts, `Commit: ${commit()}`, `Machine: ${machine}`, `Date: ${new Date().toISOString().slice(0, 10)}`].map(
      (fact) => `- ${fact}`,
    ),
    '',
    line(COLUMNS),
    line(COLUMNS.map((_, column) => (column === 1 || column === 2 ? '---:' : '---'))),
    ...rows.map((row) => line(strong(row))),
  ];
  writeFileSync(file, `${text.slice(0, from + begin.length)}\n\n${table.join('\n')}\n\n${text.slice(to)}`);
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
    return `\`${git('rev-parse', '--short', 'HEAD')}\`${git('status', '--porcelain', 'src') ? ' with changes in src/' : ''}`;
  } catch {
    return 'unknown';
  }
}
