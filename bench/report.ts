/** The table at the end: what was measured, its spread, the bar, and whether it was met. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { median } from './statistics.ts';

export interface Row {
  what: string;
  measured: string;
  /** From the least to the most of the rounds. */
  spread?: string;
  bar?: string;
  /** `unclear`: the load generator or the machine has disturbed the measurement too much to say. */
  verdict?: 'met' | 'missed' | 'unclear' | 'failed';
  note?: string;
}

/** `x` is a ratio; `MB` is 10^6 bytes. */
export type Unit = 'x' | 'us' | 'ms' | 's' | 'MB' | '/s' | '%';

const DIGITS: Record<Unit, number> = { x: 2, us: 1, ms: 2, s: 2, MB: 1, '/s': 0, '%': 1 };

export function shown(value: number, unit: Unit): string {
  if (!Number.isFinite(value)) return '–';
  const digits = DIGITS[unit];
  const text = value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return unit === 'x' || unit === '/s' || unit === '%' ? `${text}${unit}` : `${text} ${unit}`;
}

export interface Bar {
  atLeast?: number;
  atMost?: number;
}

/** One row from one value a round: the median is held against the bar. */
export function figure(
  what: string,
  values: readonly number[],
  { unit, note, atLeast, atMost }: Bar & { unit: Unit; note?: string },
): Row {
  const middle = median(values);
  const bar =
    atLeast !== undefined
      ? `at least ${shown(atLeast, unit)}`
      : atMost !== undefined
        ? `at most ${shown(atMost, unit)}`
        : undefined;
  const met = middle >= (atLeast ?? Number.NEGATIVE_INFINITY) && middle <= (atMost ?? Number.POSITIVE_INFINITY);
  return {
    what,
    measured: shown(middle, unit),
    ...(values.length > 1 && { spread: `${shown(Math.min(...values), unit)} – ${shown(Math.max(...values), unit)}` }),
    ...(bar && { bar, verdict: met ? 'met' : 'missed' }),
    ...(note && { note }),
  };
}

/** One row for something that is so or is not. */
export function fact(what: string, holds: boolean, { measured, bar }: { measured: string; bar: string }): Row {
  return { what, measured, bar, verdict: holds ? 'met' : 'missed' };
}

/** The ratio of two figures in each round. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, round) => value / theirs[round]!);
}

const COLUMNS = ['What', 'Measured', 'Spread', 'Bar', '', 'Note'];
const cells = ({ what, measured, spread, bar, verdict, note }: Row): string[] => [
  what,
  measured,
  spread ?? '',
  bar ?? '',
  verdict ?? '',
  note ?? '',
];

export function asText(rows: readonly Row[]): string {
  const table = [COLUMNS, ...rows.map(cells)];
  const widths = COLUMNS.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export interface Circumstances {
  command: string;
  /** Which core does what. */
  places: readonly string[];
}

function asMarkdown(rows: readonly Row[], { command, places }: Circumstances): string {
  const line = (row: readonly string[]) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const strong = (row: Row) =>
    row.verdict && row.verdict !== 'met' ? cells(row).with(4, `**${row.verdict}**`) : cells(row);
  return [
    `- Command: \`${command}\``,
    `- Commit: ${commit()}`,
    `- Machine: ${cpus().length} cores (${cpus()[0]?.model.trim() || process.arch}), ` +
      `${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, ${process.platform} ${process.arch}`,
    `- Places: ${places.join(' ')}`,
    `- Date: ${new Date().toISOString().slice(0, 10)}`,
    '',
    line(COLUMNS),
    line(COLUMNS.map((_, column) => (column === 1 || column === 2 ? '---:' : '---'))),
    ...rows.map((row) => line(strong(row))),
  ].join('\n');
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
    return `\`${git('rev-parse', '--short', 'HEAD')}\`${git('status', '--porcelain', 'src') ? ' with changes in src/' : ''}`;
  } catch {
    return 'unknown';
  }
}

/** A place in a document, between two comments, for one command's results: "bench", or "bench big-table". */
export interface DocumentPlace {
  write(rows: readonly Row[], circumstances: Circumstances): void;
}

/** Finds the place. Throws when the document has none, best called before an hour of measuring. */
export function findPlace(file: string, name: string): DocumentPlace {
  const begin = `<!-- ${name}: begin -->`;
  const end = `<!-- ${name}: end -->`;
  const split = () => {
    const text = readFileSync(file, 'utf8');
    const [from, to] = [text.indexOf(begin), text.indexOf(end)];
    if (from === -1 || to < from)
      throw new Error(`--markdown ${file}: the document needs the lines ${begin} and ${end}.`);
    return [text.slice(0, from + begin.length), text.slice(to)] as const;
  };
  split();
  return {
    write(rows, circumstances) {
      const [before, after] = split();
      writeFileSync(file, `${before}\n\n${asMarkdown(rows, circumstances)}\n\n${after}`);
    },
  };
}
