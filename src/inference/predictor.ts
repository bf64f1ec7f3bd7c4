/**
 * One loaded pipeline version: proven before it is handed out, released after its last run.
 *
 *     loading -> (golden rows reproduced, warm) -> serving -> retired -> (no run under way) -> released
 */
import { RidgelineError } from '../errors.ts';
import { type OnnxSession, openOnnxSession } from './onnx-session.ts';

export interface Predictor {
  readonly pipelineVersion: string;
  /** Predicts `rows` rows given row-major in the declared order; one float64 a row, which may be non-finite. */
  predict(features: Float64Array, rows: number): Promise<Float64Array>;
  /** No further predict may follow; the native session is freed when the runs under way have ended. */
  retire(): Promise<void>;
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

/** Loads and proves a version. Throws `bad_artefact` with the reason; the session is freed then. */
export async function loadPredictor(pipeline: LoadablePipeline, featureCount: number): Promise<Predictor> {
  const session = await openOnnxSession(pipeline.artefact, featureCount);
  try {
    await checkGoldenRows(session, pipeline, featureCount);
    const row = Float64Array.from(pipeline.goldenRows.features[0]!);
    for (let i = 0; i < WARM_UP_RUNS; i++) await session.run(row, 1);
  } catch (error) {
    await session.release();
    throw error;
  }
  let running = 0;
  let idle: (() => void) | undefined;
  return {
    pipelineVersion: pipeline.pipelineVersion,
    async predict(features, rows) {
      running++;
      try {
        return await session.run(features, rows);
      } finally {
        running--;
        if (running === 0) idle?.();
      }
    },
    async retire() {
      if (running > 0) await new Promise<void>((resolve) => (idle = resolve));
      await session.release();
    },
  };
}

async function checkGoldenRows(session: OnnxSession, pipeline: LoadablePipeline, featureCount: number): Promise<void> {
  // They come from a database column that holds any JSON.
  const { features, predictions } = pipeline.goldenRows ?? {};
  const refuse = (detail: string, cause?: unknown) => new RidgelineError('bad_artefact', { detail, cause });
  const areRows = Array.isArray(features) && Array.isArray(predictions) && features.length === predictions.length;
  if (!areRows || features.length === 0 || features.some((row) => row?.length !== featureCount)) {
    throw refuse(`The golden rows must be one or more rows of ${featureCount} values, with an answer each.`);
  }
  const answers = await session.run(Float64Array.from(features.flat()), features.length).catch((error: unknown) => {
    throw refuse(`ONNX Runtime cannot run the golden rows: ${String(error)}`, error);
  });
  features.forEach((_, i) => {
    const expected = predictions[i]!;
    const difference = Math.abs(answers[i]! - expected) / Math.max(1, Math.abs(expected));
    // Written so that NaN, which weights that are not numbers give, fails.
    if (!(difference <= GOLDEN_TOLERANCE)) {
      throw refuse(`Golden row ${i + 1} gives ${answers[i]} where the fit gave ${expected}.`);
    }
  });
}
