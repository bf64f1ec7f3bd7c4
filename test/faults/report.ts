/**
 * The table at the end. Tests run in processes of their own, so each result is a line in a file; when all have ended the
 * lines are printed as a table and, with FAULTS_REPORT=docs/reliability.md, written between the marks of that document.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { TestProject } from 'vitest/node';
import { isShort } from './form.ts';

declare module 'vitest' {
  interface ProvidedContext {
    faultResults: string;
  }
}

/** What one fault did. What does not apply is left out and shown as a dash. */
export interface FaultResult {
  fault: string;
  load: string;
  requests?: number;
  /** Requests that were not answered as they should have been. */
  failures?: number;
  /** Rows of what was answered, against those in Postgres. */
  stored?: { expected: number; found: number; duplicates: number };
  /** From the end of the fault until everything was as it should be. */
  recoverySeconds?: number;
  note?: string;
}

const BEGIN = '<!-- results: begin -->';
const END = '<!-- results: end -->';
const COLUMNS = ['Fault', 'Load', 'Requests', 'Failures', 'Rows expected', 'Rows found', 'Duplicates', 'Recovery', ''];

export function reportFault(result: FaultResult): void {
  appendFileSync(inject('faultResults'), `${JSON.stringify(result)}\n`);
}

export default function setup(project: TestProject): () => void {
  const directory = mkdtempSync(join(tmpdir(), 'ridgeline-faults-'));
  const file = join(directory, 'results.jsonl');
  writeFileSync(file, '');
  project.provide('faultResults', file);
  return () => {
    const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
    rmSync(directory, { recursive: true });
    const rows = lines.map((line) => cells(JSON.parse(line) as FaultResult));
    if (rows.length === 0) return;
    console.log(`\n${asText([COLUMNS, ...rows])}\n`);
    const document = process.env.FAULTS_REPORT;
    if (document) writeFileSync(document, replaceResults(readFileSync(document, 'utf8'), asMarkdown(rows)));
  };
}

function cells(result: FaultResult): string[] {
  const number = (value: number | undefined) => value?.toLocaleString('en-US') ?? '–';
  return [
    result.fault,
    result.load,
    number(result.requests),
    number(result.failures),
    number(result.stored?.expected),
    number(result.stored?.found),
    number(result.stored?.duplicates),
    result.recoverySeconds === undefined ? '–' : `${result.recoverySeconds.toFixed(1)} s`,
    result.note ?? '',
  ];
}

function asText(rows: string[][]): string {
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: string[]) =>
    row.map((cell, column) =>
      column < 2 || column > 7 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
    );
  return rows.map((row) => line(row).join('  ').trimEnd()).join('\n');
}

function asMarkdown(rows: string[][]): string {
  const line = (row: string[]) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = COLUMNS.map((_, column) => (column < 2 || column > 7 ? '---' : '---:'));
  const facts = [
    `Commit: \`${commit()}\``,
    `Command: \`${isShort ? 'FAULTS=short ' : ''}npm run test:faults\``,
    `Machine: ${availableParallelism()} cores (${cpus()[0]?.model.trim() || process.arch}), ` +
      `${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, ${process.platform} ${process.arch}; ` +
      'the load generator and PostgreSQL share it with the service',
    `Date: ${new Date().toISOString().slice(0, 10)}`,
  ];
  return [facts.map((fact) => `- ${fact}`).join('\n'), '', line(COLUMNS), line(rule), ...rows.map(line)].join('\n');
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', 'src') ? ' with changes in src/' : '');
  } catch {
    return 'unknown';
  }
}

function replaceResults(document: string, results: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin === -1 || end < begin) throw new Error(`FAULTS_REPORT: the document needs the lines ${BEGIN} and ${END}.`);
  return `${document.slice(0, begin + BEGIN.length)}\n${results}\n${document.slice(end)}`;
}
