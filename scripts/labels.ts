/** npm run labels -- FILE.csv: tells what became of predictions, as POST /ground-truth does, from a file. */
import { stat } from 'node:fs/promises';
import { systemClock } from '../src/clock.ts';
import { ConfigError } from '../src/config.ts';
import type { Pool } from '../src/database/pool.ts';
import { reasonOf } from '../src/errors.ts';
import { type Label, type LabelResult, labelResults } from '../src/ground-truth/label.ts';
import { readLabelLines } from '../src/ground-truth/labels-file.ts';
import { recordLabels } from '../src/ground-truth/record-labels.ts';
import { readCommandLine } from './command-line.ts';
import { withPool } from './database.ts';
import { createProgress } from './progress.ts';
import { loadSettings } from './settings.ts';

const usage = `Usage: npm run labels -- FILE.csv

  FILE.csv  prediction_id,actual,observed_at under a header with these names; an empty actual takes back what was said
            before, an empty observed_at is now (RFC 3339 otherwise, such as 2026-11-22T10:00:00Z)
  --json    prints one JSON object at the end
  --help

Lines that cannot be used are named and left out, and the exit code is 1 then. Run it again after an interruption: what is
there already is not counted twice. Give observed_at, so that an older file does not undo later corrections.`;

const { argument, values } = readCommandLine({
  name: 'labels',
  usage,
  options: { json: { type: 'boolean' } },
  argument: 'FILE.csv',
});

const LABELS_AT_ONCE = 1_000;
/** Faulty lines that are named; of more there is their number. */
const MOST_NAMED = 20;

interface Outcome {
  /** Lines below the header that say anything. */
  rows: number;
  counts: Record<LabelResult, number>;
  invalid: number;
}

async function storeFile(pool: Pool): Promise<Outcome> {
  const { size } = await stat(argument);
  const progress = createProgress({ quiet: values.json === true });
  const outcome: Outcome = {
    rows: 0,
    counts: Object.fromEntries(labelResults.map((result) => [result, 0])) as Outcome['counts'],
    invalid: 0,
  };
  let waiting: Label[] = [];
  async function store(): Promise<void> {
    for (const result of await recordLabels(pool, waiting, systemClock.now())) outcome.counts[result]++;
    waiting = [];
    progress.show(`${outcome.rows} labels of a file of ${Math.ceil(size / 1e6)} MB`, 0);
  }
  try {
    for await (const line of readLabelLines(argument, systemClock)) {
      outcome.rows++;
      if ('label' in line) waiting.push(line.label);
      else if (outcome.invalid++ < MOST_NAMED) console.error(`Line ${line.line} is left out. ${line.fault}.`);
      if (waiting.length === LABELS_AT_ONCE) await store();
    }
    if (waiting.length > 0) await store();
  } finally {
    progress.end();
  }
  return outcome;
}

function textOf({ rows, counts, invalid }: Outcome): string {
  const named = labelResults.filter((result) => counts[result] > 0).map((result) => `${counts[result]} ${result}`);
  const left = invalid > 0 ? [`${invalid} left out`] : [];
  return `${rows} labels: ${[...named, ...left].join(', ') || 'none'}.`;
}

try {
  const started = performance.now();
  // Before the database, which may have to be started for it.
  await stat(argument);
  const outcome = await withPool(loadSettings(), storeFile);
  const duration_ms = Math.round(performance.now() - started);
  if (outcome.invalid > MOST_NAMED) console.error(`${outcome.invalid - MOST_NAMED} more lines are left out.`);
  console.log(values.json ? JSON.stringify({ ...outcome, duration_ms }) : textOf(outcome));
  if (outcome.invalid > 0) process.exitCode = 1;
} catch (error) {
  const again = 'What was stored before stays; run it again to go on.';
  console.error(error instanceof ConfigError ? error.message : `${argument}: ${reasonOf(error)} ${again}`);
  process.exitCode = 1;
}
