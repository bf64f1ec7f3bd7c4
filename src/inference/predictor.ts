/**
 * One loaded pipeline version: proven before it is handed out, released when it is replaced.
 *
 *     loading -> (golden rows reproduced, warm) -> serving -> retired
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { RidgelineError } from '../errors.ts';
import { type OnnxSession, openOnnxSession } from './onnx-session.ts';

export interface Predictor {
  readonly pipelineVersion: string;
  /**
   * Predicts `rows` rows given row-major in the declared order, and returns `predictions` with one float64 a row, which
   * may be non-finite.
   */
  predict(features: Float64Array, rows: number, predictions?: Float64Array): Float64Array;
  /** Frees the native session: no predict may follow. None can be under way, as each holds the event loop. */
  retire(): void;
}

export interface LoadablePipeline {
  pipelineVersion: string;
  artefact: Uint8Array;
  /** Rows of `featureCount` values with the answers that the fit gave. */
  goldenRows: { features: number[][]; predictions: number[] };
}

/** The fit and ONNX Runtime differ by rounding only; relative to max(1, |answer|), as at publication. */
const GOLDEN_TOLERANCE = 1e-9;

/** The first runs of a session are the slow ones: they allocate, and the JavaScript around them is not yet compiled. */
const WARM_UP_RUNS = 50;

/**
 * Loads and proves a version. Throws `bad_artefact` with the reason; the session is freed then. Requests are answered in
 * between: no step of it holds the event loop for long.
 */
export async function loadPredictor(pipeline: LoadablePipeline, featureCount: number): Promise<Predictor> {
  const session = openOnnxSession(pipeline.artefact, featureCount);
  try {
    await nextTurn();
    checkGoldenRows(session, pipeline, featureCount);
    const row = Float64Array.from(pipeline.goldenRows.features[0]!);
    for (let i = 0; i < WARM_UP_RUNS; i++) {
      await nextTurn();
      session.run(row, 1);
    }
  } catch (error) {
    session.release();
    throw error;
  }
  return {
    pipelineVersion: pipeline.pipelineVersion,
    predict: session.run,
    retire: session.release,
  };
}

function checkGoldenRows(session: OnnxSession, pipeline: LoadablePipeline, featureCount: number): void {
  // They come from a database column that holds any JSON.
  const { features, predictions } = pipeline.goldenRows ?? {};
  const refuse = (detail: string, cause?: unknown) => new RidgelineError('bad_artefact', { detail, cause });
  const areRows = Array.isArray(features) && Array.isArray(predictions) && features.length === predictions.length;
  if (!areRows || features.length === 0 || features.some((row) => row?.length !== featureCount)) {
    throw refuse(`The golden rows must be one or more rows of ${featureCount} values, with an answer each.`);
  }
  let answers: Float64Array;
  try {
    answers = session.run(Float64Array.from(features.flat()), features.length);
  } catch (error) {
    throw refuse(`ONNX Runtime cannot run the golden rows: ${String(error)}`, error);
  }
  features.forEach((_, i) => {
    const expected = predictions[i]!;
    const difference = Math.abs(answers[i]! - expected) / Math.max(1, Math.abs(expected));
    // Written so that NaN, which weights that are not numbers give, fails.
    if (!(difference <= GOLDEN_TOLERANCE)) {
      throw refuse(`Golden row ${i + 1} gives ${answers[i]} where the fit gave ${expected}.`);
    }
  });
}
