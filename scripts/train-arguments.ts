/** The command line of npm run train. */
import { DEFAULT_ALPHA, DEFAULT_SEED } from '../src/process/first-version.ts';
import { readDecimal } from '../src/training/decimal.ts';
import { MAX_SEED } from '../src/training/train.ts';
import { failUsage, readCommandLine } from './command-line.ts';

const usage = `Usage: npm run train -- [options]

  --alpha NUMBER   strength of the ridge penalty, above 0 (default ${DEFAULT_ALPHA.toFixed(1)})
  --seed NUMBER    decides the folds of the cross-validation (default ${DEFAULT_SEED})
  --data FILE      train on this CSV file (default Boston housing); without the next two options on the columns that
                   the served pipeline declares
  --target NAME    predict this column from the others: the declaration is derived, and printed, from all rows
  --features FILE  take the declaration from this file, as npm run features prints it
  --labelled       learn from predictions whose truth is known as well: the newest 100,000, one row a vector
  --without-shipped  from those alone, once there are ten times as many as rows that ship
  --promote WORD   always; gate: where it is proven better on labelled predictions than what is served; never: publish it
                   without making it the served one. Without this option it is promoted, unless there are too few rows
                   to judge it
  --dry-run        do everything but publish it
  --breaking       also promote what refuses requests of today's callers, such as other features
  --reason TEXT    kept in the history of promotions
  --json           print one JSON object as the last line
  --help`;

export interface Arguments {
  alpha: number;
  seed: number;
  data: string | undefined;
  target: string | undefined;
  features: string | undefined;
  labelled: boolean;
  withoutShipped: boolean;
  /** Undefined where the data decide. */
  promote: 'always' | 'gate' | 'never' | undefined;
  dryRun: boolean;
  json: boolean;
  breaking: boolean;
  promotedBy: string;
  reason: string;
}

const command = {
  name: 'train',
  usage,
  options: {
    alpha: { type: 'string', default: String(DEFAULT_ALPHA) },
    seed: { type: 'string', default: String(DEFAULT_SEED) },
    data: { type: 'string' },
    target: { type: 'string' },
    features: { type: 'string' },
    labelled: { type: 'boolean', default: false },
    'without-shipped': { type: 'boolean', default: false },
    promote: { type: 'string' },
    'dry-run': { type: 'boolean', default: false },
    reason: { type: 'string', default: 'new training' },
    by: { type: 'string', default: 'train' },
    json: { type: 'boolean', default: false },
    breaking: { type: 'boolean', default: false },
  },
} as const;

/** Ends the process with the usage where the command line cannot be followed. */
export function readArguments(): Arguments {
  const { values } = readCommandLine(command);
  const alpha = numberArgument('--alpha', values.alpha);
  const seed = numberArgument('--seed', values.seed);
  if (alpha <= 0) failUsage(command, `--alpha ${values.alpha}: expected a number above 0`);
  if (!Number.isInteger(seed) || seed < 0 || seed > MAX_SEED) {
    failUsage(command, `--seed ${values.seed}: expected a whole number from 0 to ${MAX_SEED}`);
  }
  for (const name of ['data', 'features'] as const) {
    if (values[name] === '') failUsage(command, `--${name}: expected the name of a file`);
  }
  if (values.target === '') failUsage(command, '--target: expected the name of a column');
  const { data, target, features, promote, json, breaking, by: promotedBy, reason } = values;
  if (data === undefined && (target ?? features) !== undefined) {
    failUsage(command, `${target === undefined ? '--features' : '--target'} needs --data FILE, the rows to train on`);
  }
  if (promote !== undefined && promote !== 'always' && promote !== 'gate' && promote !== 'never') {
    failUsage(command, `--promote ${promote}: expected always, gate or never`);
  }
  const { labelled, 'without-shipped': withoutShipped } = values;
  if (withoutShipped && !labelled) failUsage(command, '--without-shipped needs --labelled, the rows to train on then');
  if (withoutShipped && data !== undefined) {
    failUsage(command, '--without-shipped leaves out the rows that ship, and --data has others: leave one of them out');
  }
  return {
    alpha,
    seed,
    data,
    target,
    features,
    labelled,
    withoutShipped,
    promote,
    dryRun: values['dry-run'],
    json,
    breaking,
    promotedBy,
    reason,
  };
}

function numberArgument(name: string, text: string): number {
  const value = readDecimal(text);
  if (Number.isNaN(value)) failUsage(command, `${name} ${text}: expected a number`);
  return value;
}
