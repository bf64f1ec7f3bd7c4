/** npm run train: fits the pipeline, checks it, publishes it. Running servers take it over by themselves. */
import { systemClock } from '../src/clock.ts';
import { type Config, ConfigError } from '../src/config.ts';
import { type Pool, transaction } from '../src/database/pool.ts';
import { diskAdvice } from '../src/disk-advice.ts';
import { reasonOf } from '../src/errors.ts';
import { loadHousingDataset } from '../src/housing/dataset.ts';
import { housing } from '../src/housing/features.ts';
import { missingFeatureColumns, withFreeColumns } from '../src/prediction-log/postgres/feature-columns.ts';
import { changesForCallers } from '../src/publishing/contract-changes.ts';
import { publish } from '../src/publishing/publish.ts';
import type { DataFile, NewPipeline } from '../src/registry/pipeline-versions.ts';
import { describeHold, servedVersion } from '../src/registry/promotions.ts';
import { promotedContract } from '../src/registry/stored-declaration.ts';
import { findVersion } from '../src/registry/version-catalogue.ts';
import { doubtAbout } from '../src/training/doubt.ts';
import { trainPipeline } from '../src/training/train.ts';
import { readTrainingData, type TrainingData } from '../src/training/training-data.ts';
import { withPool } from './database.ts';
import { createProgress } from './progress.ts';
import { loadSettings } from './settings.ts';
import { type Arguments, readArguments } from './train-arguments.ts';
import {
  type Decision,
  type Outcome,
  outcomeJson,
  outcomeText,
  type PlanShown,
  planText,
  type ServedFigures,
} from './train-text.ts';

async function train(asked: Arguments): Promise<void> {
  const started = performance.now();
  const config = loadSettings();
  const plan = await withPool(config, (pool) => makePlan(asked, pool));
  for (const line of planText(plan)) (asked.json ? console.error : console.log)(line);
  if (plan.breaking.length > 0 && !asked.breaking && asked.promote !== 'never') {
    console.error('\nNothing is published. Add --breaking to publish it all the same.');
    process.exitCode = 1;
    return;
  }
  // With no database open, as Ctrl-C ends a long training at once then.
  const pipeline = trainOn(plan, asked);
  const decision = decide(asked, { pipeline, plan });
  const end = asked.dryRun ? decision : await publishNow(pipeline, { asked, plan, config, decision });
  const durationMs = Math.round(performance.now() - started);
  const outcome: Outcome = { version: null, path: undefined, pipeline, served: plan.served, durationMs, ...end };
  console.log(asked.json ? outcomeJson(outcome) : outcomeText(outcome));
}

type Rows = Pick<TrainingData, 'contract' | 'dataset'> & { source: DataFile | undefined };

/** What is going to be trained, and what its promotion would change. */
interface Plan extends PlanShown, Rows {
  served: ServedFigures | undefined;
}

/** Throws, before anything is trained, where the rows cannot be read or stored. */
async function makePlan(asked: Arguments, pool: Pool): Promise<Plan> {
  const { contract, dataset, notes, source } = await readStorableRows(asked, pool);
  const { served: contracts, ...changes } = await changesForCallers(pool, { contract, shipped: housing });
  const columns = await missingFeatureColumns(pool, contract, [housing, ...contracts]);
  const served = await readServed(pool, contract.declaration.output.name);
  return { contract, dataset, notes, source, columns, served, ...changes };
}

/** Nobody has chosen the columns of a derived declaration: where one is in the way of another type, the next is taken. */
async function readStorableRows(asked: Arguments, pool: Pool): ReturnType<typeof readRows> {
  const rows = await readRows(asked, pool);
  if (asked.target === undefined || asked.features !== undefined) return rows;
  const contract = await withFreeColumns(pool, rows.contract);
  const moved = contract.features.filter(({ column }, i) => column !== rows.contract.features[i]!.column);
  const notes = moved.map(({ name, column }) => `${name}: stored as ${column}, as its own column has another type.`);
  return { ...rows, contract, notes: [...rows.notes, ...notes] };
}

/** Those of the file, by the columns of what is served where nothing else is asked; without a file those that ship. */
async function readRows(
  { data, target, features }: Arguments,
  pool: Pool,
): Promise<Rows & Pick<TrainingData, 'notes'>> {
  if (data === undefined) return { contract: housing, dataset: loadHousingDataset(), notes: [], source: undefined };
  // Then what is served need not be known here: it may be of a later version of Ridgeline.
  const isDeclared = target !== undefined || features !== undefined;
  const served = isDeclared ? housing : await promotedContract(pool, housing);
  return await readTrainingData({ data, target, features, served });
}

/** What is served, where it predicts the same thing. */
async function readServed(pool: Pool, target: string): Promise<ServedFigures | undefined> {
  const version = await servedVersion(pool);
  if (version === undefined) return undefined;
  const found = await findVersion(pool, version, { shipped: housing.declaration, now: systemClock.now() });
  const { name } = (found?.declaration.output ?? {}) as { name?: string };
  return name === target ? found : undefined;
}

function trainOn({ dataset, contract }: Plan, { alpha, seed, json }: Arguments): NewPipeline {
  const progress = createProgress({ quiet: json });
  try {
    return trainPipeline(dataset, { contract, alpha, seed, onProgress: progress.show });
  } finally {
    progress.end();
  }
}

interface Trained {
  pipeline: NewPipeline;
  plan: Plan;
}

/** By hand a pipeline is promoted, unless its data are too few to judge it and nobody has said that it should be. */
function decide({ promote }: Arguments, { pipeline, plan: { dataset } }: Trained): Decision {
  if (promote === 'never') return { decision: 'not_promoted', reason: 'never' };
  const doubt = promote === 'always' ? undefined : doubtAbout(pipeline, dataset);
  return doubt ? { decision: 'not_promoted', ...doubt } : { decision: 'promoted', reason: 'always' };
}

interface Publication {
  asked: Arguments;
  plan: Plan;
  config: Config;
  decision: Decision;
}

async function publishNow(
  pipeline: NewPipeline,
  { asked: { promotedBy, reason, breaking }, plan: { source }, config, decision }: Publication,
): Promise<Decision & Pick<Outcome, 'version' | 'path'>> {
  const { pipelineVersion, heldBy, file } = await withPool(config, (pool) =>
    publish(pipeline, {
      transaction: (work) => transaction(pool, work),
      modelsDir: config.modelsDir,
      action: promotedBy === 'schedule' ? 'schedule' : 'train',
      promotes: decision.decision === 'promoted',
      now: systemClock.now(),
      promotedBy,
      reason,
      shipped: housing,
      breaking,
      dataFile: source,
    }),
  );
  if (file && 'error' in file) {
    const why = `${reasonOf(file.error)}. ${diskAdvice(file.error, 'MODELS_DIR')}`;
    console.error(`Published, but not written to ${config.modelsDir}: ${why}`);
  }
  const path = file && 'path' in file ? file.path : undefined;
  if (!heldBy) return { ...decision, version: pipelineVersion, path };
  return { decision: 'held', reason: heldBy.action, sentence: describeHold(heldBy), version: pipelineVersion, path };
}

await train(readArguments()).catch((error: unknown) => {
  console.error(error instanceof ConfigError ? error.message : `Training failed. ${reasonOf(error)}`);
  process.exitCode = 1;
});
