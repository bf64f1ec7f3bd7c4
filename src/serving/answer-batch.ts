/**
 * One batch, from the rows of several callers to their answers: join, run, name, store. It lies in memory that the next
 * batch overwrites. What V8 allocates outside of its heap it frees piece by piece, and a garbage collection that finds
 * thousands of small batches holds the event loop for that longer than for all the rest.
 */
import { type FieldError, MAX_FIELD_ERRORS, RidgelineError } from '../errors.ts';
import type { EncodedRows } from '../feature-schema.ts';
import type { Predictor } from '../inference/predictor.ts';
import { ID_BYTES } from '../prediction-log/prediction-batch.ts';
import type { PredictionLog } from '../prediction-log/prediction-log.ts';
import type { Answer } from './answer.ts';
import { createPredictionIds } from './prediction-ids.ts';

/** The rows of one request. */
export interface PredictJob extends EncodedRows {
  /** The JSON pointer of a row in the request's body. */
  pointerOf: (row: number) => string;
}

export interface BatchAnswererOptions {
  /** The pipeline that serves now. It is asked once a run: the version that a run begins with answers all of it. */
  currentPredictor: () => Predictor | undefined;
  predictionLog: PredictionLog;
  featureCount: number;
  /** The most rows of a batch: memory for so many is set aside. */
  maxRows: number;
}

/**
 * Answers each job in its place, or gives the error that it alone gets: a job with a prediction that is not finite is
 * refused and not stored. The others are answered once their rows are stored, all with one write.
 */
export type BatchAnswerer = (jobs: readonly PredictJob[]) => Promise<(Answer | RidgelineError)[]>;

export function createBatchAnswerer(options: BatchAnswererOptions): BatchAnswerer {
  const { currentPredictor, predictionLog, featureCount, maxRows } = options;
  const newPredictionIds = createPredictionIds();
  const joinedMemory = new Float64Array(maxRows * featureCount);
  const outputMemory = new Float64Array(maxRows);
  const idMemory = new Uint8Array(maxRows * ID_BYTES);

  async function answerBatch(jobs: readonly PredictJob[]): Promise<(Answer | RidgelineError)[]> {
    const predictor = currentPredictor();
    if (!predictor) throw new RidgelineError('no_pipeline');
    if (jobs.length === 0) return [];
    const rows = jobs.reduce((sum, job) => sum + job.rows, 0);
    const features = joinFeatures(jobs, joinedMemory);
    const output = predictor.predict(features, rows, outputMemory.subarray(0, rows));
    const predictions = toArray(output);

    if (!predictions.every(Number.isFinite)) {
      const refusals = shareOut(jobs, (job, start) => refusalOf(job, predictions, start));
      // Rare, so the others simply run again without the refused.
      const others = await answerBatch(jobs.filter((_, i) => !refusals[i]));
      return refusals.map((refusal) => refusal ?? others.shift()!);
    }

    const { pipelineVersion } = predictor;
    const createdAt = new Date();
    const ids = idMemory.subarray(0, rows * ID_BYTES);
    const texts = newPredictionIds(ids, createdAt.getTime());
    const stored = predictionLog.append({ ids, features, predictions: output, pipelineVersion, createdAt });
    // Awaited only where there is something to wait for: the usual append is done when it returns.
    if (stored instanceof Promise) await stored;
    return shareOut(jobs, (_, start, after) => ({
      predictions: predictions.slice(start, after),
      ids: texts.slice(start, after),
      pipelineVersion,
    }));
  }
  return answerBatch;
}

/** Row-major, from the beginning of `memory` on, unless they lie together already. */
function joinFeatures(jobs: readonly PredictJob[], memory: Float64Array): Float64Array {
  const [first] = jobs;
  if (jobs.length === 1 && first!.features instanceof Float64Array) return first!.features;
  let end = 0;
  for (const { features } of jobs) {
    memory.set(features, end);
    end += features.length;
  }
  return memory.subarray(0, end);
}

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
  jobs: readonly PredictJob[],
  make: (job: PredictJob, start: number, after: number) => Share,
): Share[] {
  let start = 0;
  return jobs.map((job) => {
    const after = start + job.rows;
    const share = make(job, start, after);
    start = after;
    return share;
  });
}

function refusalOf(
  { rows, pointerOf }: PredictJob,
  predictions: readonly number[],
  start: number,
): RidgelineError | undefined {
  const errors: FieldError[] = predictions
    .slice(start, start + rows)
    .flatMap((prediction, row) =>
      Number.isFinite(prediction)
        ? []
        : [{ pointer: pointerOf(row), code: 'not_finite', message: 'The prediction for this row overflows.' }],
    );
  if (errors.length === 0) return undefined;
  return new RidgelineError('outside_model_domain', {
    errors: errors.slice(0, MAX_FIELD_ERRORS),
    errorsTruncated: errors.length > MAX_FIELD_ERRORS,
  });
}
