/** npm run train: fits the pipeline, checks it, publishes it. Running servers take it over by themselves. */
import { ConfigError } from '../src/config.ts';
import { migrate } from '../src/database/migrate.ts';
import { createPool, transaction } from '../src/database/pool.ts';
import { diskAdvice } from '../src/disk-advice.ts';
import { reasonOf } from '../src/errors.ts';
import { loadHousingDataset } from '../src/housing/dataset.ts';
import { housing } from '../src/housing/features.ts';
import { DEFAULT_ALPHA, DEFAULT_SEED } from '../src/process/first-version.ts';
import { withDatabase } from '../src/process/open-database.ts';
import { readDecimal } from '../src/training/decimal.ts';
import { publish } from '../src/training/publish.ts';
import { MAX_SEED, trainPipeline } from '../src/training/train.ts';
import { readTrainingData } from '../src/training/training-data.ts';
import { failUsage, readCommandLine } from './command-line.ts';
import { createProgress } from './progress.ts';
import { loadSettings } from './settings.ts';

const usage = `Usage: npm run train -- [options]

  --alpha NUMBER  strength of the ridge penalty, above 0 (default ${DEFAULT_ALPHA.toFixed(1)})
  --seed NUMBER   decides the folds of the cross-validation (default ${DEFAULT_SEED})
  --data FILE     a CSV file with the declared features and the target as header (default Boston housing)
  --reason TEXT   kept in the history of promotions
  --json          print one JSON object as the last line
  --help`;

interface Arguments {
  alpha: number;
  seed: number;
  data: string | undefined;
  json: boolean;
  promotedBy: string;
  reason: string;
}

async function train({ alpha, seed, data, json, promotedBy, reason }: Arguments): Promise<void> {
  const started = performance.now();
  const config = loadSettings();
  const progress = createProgress({ quiet: json });
  const dataset =
    data === undefined ? loadHousingDataset() : (await readTrainingData({ data, served: housing })).dataset;
  const pipeline = trainPipeline(dataset, { contract: housing, alpha, seed, onProgress: progress.show });
  progress.end();
  await withDatabase(config, async (database) => {
    await migrate(database.url, { retryForMs: 60_000 });
    const pool = createPool({ url: database.url, onError: () => undefined, max: 1 });
    const { pipelineVersion, file } = await publish(pipeline, {
      transaction: (work) => transaction(pool, work),
      modelsDir: config.modelsDir,
      promotedBy,
      reason,
    }).finally(() => pool.end());
    const { sha256, metrics, hyperparameters } = pipeline;
    const durationMs = Math.round(performance.now() - started);
    if ('error' in file) {
      const reason = `${reasonOf(file.error)}. ${diskAdvice(file.error, 'MODELS_DIR')}`;
      console.error(`Published, but not written to ${config.modelsDir}: ${reason}`);
    }
    if (json) {
      console.log(
        JSON.stringify({ version: pipelineVersion, sha256, promoted: true, metrics, duration_ms: durationMs }),
      );
      return;
    }
    const shown = (name: string) => (metrics[name] ?? Number.NaN).toFixed(4).padStart(10);
    console.log(`Published pipeline version ${pipelineVersion} in ${durationMs} ms (alpha ${alpha}, ${metrics.rows} rows)

                            RMSE       MAE        R2
  ${`${hyperparameters.folds}-fold cross-validation`.padEnd(24)}${shown('cv_rmse')}${shown('cv_mae')}${shown('cv_r2')}
  training rows           ${shown('train_rmse')}${shown('train_mae')}${shown('train_r2')}

  It is promoted: running servers switch to it.

  SHA-256 ${sha256}
  ${'path' in file ? file.path : ''}`);
  });
}

const command = {
  name: 'train',
  usage,
  options: {
    alpha: { type: 'string', default: String(DEFAULT_ALPHA) },
    seed: { type: 'string', default: String(DEFAULT_SEED) },
    data: { type: 'string' },
    reason: { type: 'string', default: 'new training' },
    by: { type: 'string', default: 'train' },
    json: { type: 'boolean', default: false },
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
  if (values.data === '') failUsage(command, '--data: expected the name of a file');
  return { alpha, seed, data: values.data, json: values.json, promotedBy: values.by, reason: values.reason };
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
