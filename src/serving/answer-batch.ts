/** One batch, from the rows of several callers to their answers: join, run, name, store. */
import { RidgelineError, reasonOf } from '../errors.ts';
import type { FeatureRows } from '../feature-schema.ts';
import type { Predictor } from '../inference/predictor.ts';
import type { Log } from '../log.ts';
import type { PredictionLog } from '../prediction-log/prediction-log.ts';
import type { Answer, Outcome, Refusal } from './answer.ts';
import { createBatchMemory } from './batch-memory.ts';
import { createPredictionIds } from './prediction-ids.ts';

export interface BatchAnswererOptions {
  /** The pipeline that serves now. It is asked once a run: the version that a run begins with answers all of it. */
  currentPredictor: () => Predictor | undefined;
  predictionLog: Pick<PredictionLog, 'append' | 'refusal'>;
  featureCount: number;
  /** The most rows of a batch: memory for so many is set aside. */
  maxRows: number;
  log: Pick<Log, 'warn'>;
}

/**
 * Answers the rows of each request in its place. Those whose values lead to no finite prediction are refused alone and not
 * stored; the others are answered once their rows are stored, all with one write. Rejects with `no_pipeline`, and with what
 * the prediction log says when it cannot store them.
 */
export type BatchAnswerer = (jobs: readonly FeatureRows[]) => Promise<Outcome[]>;

export function createBatchAnswerer(options: BatchAnswererOptions): BatchAnswerer {
  const { currentPredictor, predictionLog, featureCount, maxRows, log } = options;
  const newPredictionIds = createPredictionIds();
  const memory = createBatchMemory(maxRows, featureCount);
  let failingVersion: string | undefined;

  async function answerBatch(jobs: readonly FeatureRows[]): Promise<Outcome[]> {
    const predictor = currentPredictor();
    if (!predictor) throw new RidgelineError('no_pipeline');
    const refusal = predictionLog.refusal();
    if (refusal) throw refusal;
    if (jobs.length === 0) return [];
    const rows = jobs.reduce((sum, job) => sum + job.rows, 0);
    const features = memory.join(jobs);
    const output = memory.predictions(rows);
    try {
      predictor.predict(features, rows, output);
    } catch (error) {
      if (jobs.length > 1) return await answerOneByOne(jobs);
      noteFailure(predictor, error);
      return [notComputable];
    }
    const predictions = toArray(output);
    if (!predictions.every(Number.isFinite)) {
      return await answerOthers(
        jobs,
        shareOut(jobs, (_, start, after) => refusalOf(predictions.slice(start, after))),
      );
    }

    const { pipelineVersion } = predictor;
    const createdAt = new Date();
    const ids = memory.ids(rows);
    const texts = newPredictionIds(ids, createdAt.getTime());
    const stored = predictionLog.append({ ids, features, predictions: output, pipelineVersion, createdAt });
    // Awaited only where there is something to wait for: the usual append is done when it returns.
    if (stored instanceof Promise) await stored;
    return shareOut(
      jobs,
      (_, start, after): Answer => ({
        predictions: predictions.slice(start, after),
        ids: texts.slice(start, after),
        pipelineVersion,
      }),
    );
  }

  /** Rows on which the runtime gives up must not cost others their answer. Rare, so each request simply runs alone. */
  async function answerOneByOne(jobs: readonly FeatureRows[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const job of jobs) outcomes.push(...(await answerBatch([job])));
    return outcomes;
  }

  /** Once a version: whoever sends such values may send thousands. */
  function noteFailure({ pipelineVersion }: Predictor, error: unknown): void {
    if (failingVersion === pipelineVersion) return;
    failingVersion = pipelineVersion;
    log.warn({ pipelineVersion, reason: reasonOf(error) }, 'a pipeline cannot be run with the values of a request');
  }

  /** Rare as well, so those that are not refused simply run again. */
  async function answerOthers(
    jobs: readonly FeatureRows[],
    refusals: readonly (Refusal | undefined)[],
  ): Promise<Outcome[]> {
    const others = await answerBatch(jobs.filter((_, i) => !refusals[i]));
    return refusals.map((refusal) => refusal ?? others.shift()!);
  }

  return answerBatch;
}

const notComputable: Refusal = {
  faults: [{ row: undefined, code: 'not_computable', message: 'The pipeline cannot compute with these values.' }],
};

/**
 * An array, because it is cut into shares, and a piece of a Float64Array is dear. Array.from takes seventeen times as
 * long, which is 2 % of what a thousand rows take altogether.
 */
function toArray(values: Float64Array): number[] {
  const array = new Array<number>(values.length);
  for (let i = 0; i < values.length; i++) array[i] = values[i]!;
  return array;
}

/** What `make` makes of each job and its place among the rows: from `start` to before `after`. */
function shareOut<Share>(
  jobs: readonly FeatureRows[],
  make: (job: FeatureRows, start: number, after: number) => Share,
): Share[] {
  let start = 0;
  return jobs.map((job) => {
    const after = start + job.rows;
    const share = make(job, start, after);
    start = after;
    return share;
  });
}

function refusalOf(predictions: readonly number[]): Refusal | undefined {
  const faults = predictions.flatMap((prediction, row): Refusal['faults'] =>
    Number.isFinite(prediction) ? [] : [{ row, code: 'not_finite', message: 'The prediction for this row overflows.' }],
  );
  return faults.length > 0 ? { faults } : undefined;
}
