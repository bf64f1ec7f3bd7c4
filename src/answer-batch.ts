/** One batch, from the rows of several callers to their answers: encode, run, name, store. */
import { type FieldError, MAX_FIELD_ERRORS, RidgelineError } from './errors.ts';
import { encodeRows, type FeatureRow, type FeatureSchema } from './feature-schema.ts';
import type { Answer } from './http/routes/predict.ts';
import type { Predictor } from './inference/predictor.ts';
import { createPredictionIds } from './prediction-log/prediction-ids.ts';
import type { PredictionLog } from './prediction-log/prediction-log.ts';

const newPredictionId = createPredictionIds();

/** The rows of one request. */
export interface PredictJob {
  rows: FeatureRow[];
  /** The JSON pointer of a row in the request's body. */
  pointerOf: (row: number) => string;
}

export interface AnswerBatchOptions {
  features: FeatureSchema;
  /** The pipeline that serves now. It is asked once a run: the version that a run begins with answers all of it. */
  currentPredictor: () => Predictor | undefined;
  predictionLog: PredictionLog;
}

/**
 * Answers each job in its place, or gives the error that it alone gets: a job with a prediction that is not finite is
 * refused and not stored. The others are answered once their rows are stored, all with one write.
 */
export async function answerBatch(
  jobs: readonly PredictJob[],
  options: AnswerBatchOptions,
): Promise<(Answer | RidgelineError)[]> {
  const { features, predictionLog } = options;
  const predictor = options.currentPredictor();
  if (!predictor) throw new RidgelineError('no_pipeline');
  if (jobs.length === 0) return [];
  const rows = jobs.length === 1 ? jobs[0]!.rows : jobs.flatMap((job) => job.rows);
  const encoded = encodeRows(features, rows);
  const predictions = await predictor.predict(encoded, rows.length);

  if (!predictions.every(Number.isFinite)) {
    const refusals = split(jobs, predictions).map(([job, own]) => refusalOf(job, own));
    // Rare, so the others simply run again without the refused.
    const others = await answerBatch(
      jobs.filter((_, i) => !refusals[i]),
      options,
    );
    return refusals.map((refusal) => refusal ?? others.shift()!);
  }

  const createdAt = new Date();
  const ids = rows.map(() => newPredictionId(createdAt.getTime()));
  const { pipelineVersion } = predictor;
  const stored = predictionLog.append({
    ids,
    features: encoded,
    width: features.features.length,
    predictions,
    pipelineVersion,
    createdAt,
  });
  if (stored instanceof Promise) await stored;
  let start = 0;
  return split(jobs, predictions).map(([job, own]) => {
    const answer = { predictions: own, ids: ids.slice(start, start + job.rows.length), pipelineVersion };
    start += job.rows.length;
    return answer;
  });
}

/** Each job with its share of the batch's predictions. */
function split(jobs: readonly PredictJob[], predictions: Float64Array): [PredictJob, Float64Array][] {
  let start = 0;
  return jobs.map((job) => {
    const own = predictions.subarray(start, start + job.rows.length);
    start += job.rows.length;
    return [job, own];
  });
}

function refusalOf({ pointerOf }: PredictJob, predictions: Float64Array): RidgelineError | undefined {
  const errors: FieldError[] = [];
  predictions.forEach((prediction, row) => {
    if (Number.isFinite(prediction)) return;
    errors.push({ pointer: pointerOf(row), code: 'not_finite', message: 'The prediction for this row overflows.' });
  });
  if (errors.length === 0) return undefined;
  return new RidgelineError('outside_model_domain', {
    errors: errors.slice(0, MAX_FIELD_ERRORS),
    errorsTruncated: errors.length > MAX_FIELD_ERRORS,
  });
}
