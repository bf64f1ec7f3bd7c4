/** npm run train: fits the pipeline, checks it, publishes it. Running servers take it over by themselves. */
import { systemClock } from '../src/clock.ts';
import { ConfigError } from '../src/config.ts';
import { diskAdvice } from '../src/disk-advice.ts';
import { reasonOf } from '../src/errors.ts';
import { loadHousingDataset } from '../src/housing/dataset.ts';
import { housing } from '../src/housing/features.ts';
import type { TrainingPlan } from '../src/retraining/training-plan.ts';
import { runTraining, type TrainingOutcome } from '../src/retraining/training-run.ts';
import { withPool } from './database.ts';
import { createProgress } from './progress.ts';
import { loadSettings } from './settings.ts';
import { type Arguments, readArguments } from './train-arguments.ts';
import { outcomeJson, outcomeText, planText, shortageJson } from './train-text.ts';

async function train(asked: Arguments): Promise<void> {
  const started = performance.now();
  const config = loadSettings();
  const progress = createProgress({ quiet: asked.json });
  const outcome = await runTraining(asked, {
    withPool: (work) => withPool(config, work),
    shipped: { contract: housing, dataset: loadHousingDataset },
    modelsDir: config.modelsDir,
    now: systemClock.now(),
    onPlan: (plan) => tellPlan(plan, asked),
    onProgress: progress.show,
  }).finally(progress.end);
  if (!outcome) return;
  tellFile(outcome, config.modelsDir);
  const durationMs = Math.round(performance.now() - started);
  console.log(asked.json ? outcomeJson(outcome, durationMs) : outcomeText(outcome, durationMs));
}

/** Whether it goes on. */
function tellPlan(plan: TrainingPlan, { json, breaking, promote, promotedBy }: Arguments): boolean {
  // No fault of a schedule: truths come with time.
  if (plan.shortage && promotedBy === 'schedule') {
    console.log(shortageJson(plan.shortage));
    return false;
  }
  for (const line of planText(plan)) (json ? console.error : console.log)(line);
  if (plan.breaking.length === 0 || breaking || promote === 'never') return true;
  console.error('\nNothing is published. Add --breaking to publish it all the same.');
  process.exitCode = 1;
  return false;
}

function tellFile({ file }: TrainingOutcome, modelsDir: string): void {
  if (!file || !('error' in file)) return;
  const why = `${reasonOf(file.error)}. ${diskAdvice(file.error, 'MODELS_DIR')}`;
  console.error(`Published, but not written to ${modelsDir}: ${why}`);
}

await train(readArguments()).catch((error: unknown) => {
  console.error(error instanceof ConfigError ? error.message : `Training failed. ${reasonOf(error)}`);
  process.exitCode = 1;
});
