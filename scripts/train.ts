/** npm run train: fits the pipeline, checks it, publishes it. Running servers take it over by themselves. */
import { ConfigError } from '../src/config.ts';
import type { ContractChanges } from '../src/contract/compare.ts';
import type { Column } from '../src/contract/contract.ts';
import { type Pool, transaction } from '../src/database/pool.ts';
import { diskAdvice } from '../src/disk-advice.ts';
import { reasonOf } from '../src/errors.ts';
import { loadHousingDataset } from '../src/housing/dataset.ts';
import { housing } from '../src/housing/features.ts';
import { missingFeatureColumns } from '../src/prediction-log/postgres/feature-columns.ts';
import { DEFAULT_ALPHA, DEFAULT_SEED } from '../src/process/first-version.ts';
import { changesForCallers, refuseBreaking } from '../src/publishing/contract-changes.ts';
import { type Published, publish } from '../src/publishing/publish.ts';
import type { NewPipeline } from '../src/registry/pipeline-versions.ts';
import { promotedVersions } from '../src/registry/promotions.ts';
import { contractOfStored } from '../src/registry/stored-declaration.ts';
import { readDecimal } from '../src/training/decimal.ts';
import { MAX_SEED, trainPipeline } from '../src/training/train.ts';
import { readTrainingData, type TrainingData } from '../src/training/training-data.ts';
import { failUsage, readCommandLine } from './command-line.ts';
import { withPool } from './database.ts';
import { createProgress } from './progress.ts';
import { loadSettings } from './settings.ts';

const usage = `Usage: npm run train -- [options]

  --alpha NUMBER  strength of the ridge penalty, above 0 (default ${DEFAULT_ALPHA.toFixed(1)})
  --seed NUMBER   decides the folds of the cross-validation (default ${DEFAULT_SEED})
  --data FILE     train on this CSV file (default Boston housing); without the next two options on the columns that
                  the served pipeline declares
  --target NAME   predict this column from the others: the declaration is derived, and printed, from all rows
  --features FILE take the declaration from this file, as npm run features prints it
  --breaking      also publish what refuses requests of today's callers, such as other features
  --reason TEXT   kept in the history of promotions
  --json          print one JSON object as the last line
  --help`;

interface Arguments {
  alpha: number;
  seed: number;
  data: string | undefined;
  target: string | undefined;
  features: string | undefined;
  json: boolean;
  breaking: boolean;
  promotedBy: string;
  reason: string;
}

async function train(asked: Arguments): Promise<void> {
  const started = performance.now();
  const config = loadSettings();
  const plan = await withPool(config, (pool) => makePlan(asked, pool));
  showPlan(plan, asked.json ? console.error : console.log);
  // With no database open, as Ctrl-C ends a long training at once then.
  const pipeline = trainOn(plan, asked);
  const { alpha, json, breaking, promotedBy, reason } = asked;
  const published = await withPool(config, (pool) =>
    publish(pipeline, {
      transaction: (work) => transaction(pool, work),
      modelsDir: config.modelsDir,
      action: promotedBy === 'schedule' ? 'schedule' : 'train',
      promotedBy,
      reason,
      shipped: housing,
      breaking,
    }),
  );
  const durationMs = Math.round(performance.now() - started);
  if (published.file && 'error' in published.file) {
    const why = `${reasonOf(published.file.error)}. ${diskAdvice(published.file.error, 'MODELS_DIR')}`;
    console.error(`Published, but not written to ${config.modelsDir}: ${why}`);
  }
  (json ? showAsJson : show)(pipeline, published, { alpha, durationMs });
}

/** What is going to be trained, and what its publication would change. */
interface Plan extends ContractChanges, Pick<TrainingData, 'contract' | 'dataset' | 'notes'> {
  /** Those that are added to `predictions`. */
  columns: readonly Column[];
}

/** Throws, before anything is trained, what the publication would be refused for. */
async function makePlan(asked: Arguments, pool: Pool): Promise<Plan> {
  const { contract, dataset, notes } = await readRows(asked, pool);
  const { served, ...changes } = await changesForCallers(pool, { contract, shipped: housing });
  if (!asked.breaking) refuseBreaking(changes);
  const columns = await missingFeatureColumns(pool, contract, [housing, ...served]);
  return { contract, dataset, notes, columns, ...changes };
}

/** Those of the file, by the columns of what is served where nothing else is asked; without a file those that ship. */
async function readRows(
  { data, target, features }: Arguments,
  pool: Pool,
): Promise<Pick<TrainingData, 'contract' | 'dataset' | 'notes'>> {
  if (data === undefined) return { contract: housing, dataset: loadHousingDataset(), notes: [] };
  const [served] = await promotedVersions(pool);
  return await readTrainingData({ data, target, features, served: contractOfStored(served?.declaration, housing) });
}

function trainOn({ dataset, contract }: Plan, { alpha, seed, json }: Arguments): NewPipeline {
  const progress = createProgress({ quiet: json });
  try {
    return trainPipeline(dataset, { contract, alpha, seed, onProgress: progress.show });
  } finally {
    progress.end();
  }
}

/** What a person should read before it is published. */
function showPlan({ notes, columns, breaking, compatible }: Plan, print: (line: string) => void): void {
  for (const note of notes) print(note);
  if (columns.length > 0) {
    const added = columns.map(({ name, type }) => `${name} ${type}`);
    print(`\nColumns that are added to predictions: ${added.join(', ')}`);
  }
  const changes = [...breaking, ...compatible];
  if (changes.length > 0) print(['\nWhat changes for callers:', ...changes].join('\n  '));
}

interface Shown {
  alpha: number;
  durationMs: number;
}

function showAsJson(
  { sha256, metrics }: NewPipeline,
  { pipelineVersion: version, isPromoted: promoted, heldBy }: Published,
  { durationMs }: Shown,
): void {
  const decision = { decision: promoted ? 'promoted' : 'held', reason: heldBy?.action ?? 'always', gate: null };
  console.log(JSON.stringify({ version, sha256, promoted, ...decision, metrics, duration_ms: durationMs }));
}

function show(pipeline: NewPipeline, { pipelineVersion, file }: Published, { alpha, durationMs }: Shown): void {
  const { sha256, metrics, hyperparameters } = pipeline;
  const shown = (name: string) => (metrics[name] ?? Number.NaN).toFixed(4).padStart(10);
  console.log(`Published pipeline version ${pipelineVersion} in ${durationMs} ms (alpha ${alpha}, ${metrics.rows} rows)

                            RMSE       MAE        R2
  ${`${hyperparameters.folds}-fold cross-validation`.padEnd(24)}${shown('cv_rmse')}${shown('cv_mae')}${shown('cv_r2')}
  training rows           ${shown('train_rmse')}${shown('train_mae')}${shown('train_r2')}

  It is promoted: running servers switch to it.

  SHA-256 ${sha256}
  ${file && 'path' in file ? file.path : ''}`);
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
    reason: { type: 'string', default: 'new training' },
    by: { type: 'string', default: 'train' },
    json: { type: 'boolean', default: false },
    breaking: { type: 'boolean', default: false },
  },
} as const;

function readArguments(): Arguments {
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
  const { data, target, features, json, breaking, by: promotedBy, reason } = values;
  if (data === undefined && (target ?? features) !== undefined) {
    failUsage(command, `${target === undefined ? '--features' : '--target'} needs --data FILE, the rows to train on`);
  }
  return { alpha, seed, data, target, features, json, breaking, promotedBy, reason };
}

function numberArgument(name: string, text: string): number {
  const value = readDecimal(text);
  if (Number.isNaN(value)) failUsage(command, `${name} ${text}: expected a number`);
  return value;
}

await train(readArguments()).catch((error: unknown) => {
  console.error(error instanceof ConfigError ? error.message : `Training failed. ${reasonOf(error)}`);
  process.exitCode = 1;
});
