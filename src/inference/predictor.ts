/**
 * One loaded pipeline version: proven before it is handed out, released when it is replaced.
 *
 *     loading -> (golden rows reproduced, warm) -> serving -> retired
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Contract } from '../contract/contract.ts';
import { fromValues, type GoldenRows } from '../contract/rows.ts';
import { checkExplainer, createExplainer, type Explainer } from './explanation.ts';
import { checkGoldenRows } from './golden-rows.ts';
import { type HalfWidths, halfWidthsOfStored } from './half-widths.ts';
import { openOnnxSession } from './onnx-session.ts';

export interface Predictor {
  readonly pipelineVersion: string;
  /** Of the rows that it takes. */
  readonly contract: Contract;
  /**
   * Predicts `rows` rows of slots, given row-major in the declared order, and returns `predictions` with one float64 a row, which
   * may be non-finite. Throws `run_failed` when not one of them has been predicted.
   */
  predict(features: Float64Array, rows: number, predictions?: Float64Array): Float64Array;
  /** Of intervals, from the errors that its training has made; null where none were kept. */
  readonly halfWidths: HalfWidths | null;
  /** What each feature adds; null where that is not known exactly. */
  readonly explainer: Explainer | null;
  /** Frees the native session: no predict may follow. None can be under way, as each holds the event loop. */
  retire(): void;
}

export interface LoadablePipeline {
  pipelineVersion: string;
  artefact: Uint8Array;
  goldenRows: GoldenRows;
  /** As they are stored. */
  residuals?: unknown;
  explanation?: unknown;
}

/** The first runs of a session are the slow ones: they allocate, and the JavaScript around them is not yet compiled. */
const WARM_UP_RUNS = 50;

/**
 * Loads and proves a version that takes rows of the contract. Throws `bad_artefact` with the reason, or
 * another error for what may pass, such as want of memory; the session is freed then. Requests are answered in between:
 * no step of it holds the event loop for long.
 */
export async function loadPredictor(pipeline: LoadablePipeline, contract: Contract): Promise<Predictor> {
  const halfWidths = halfWidthsOfStored(pipeline.residuals);
  const session = openOnnxSession(pipeline.artefact, contract.names);
  let explainer: Explainer | null;
  try {
    for (const _ of checkGoldenRows(session, pipeline.goldenRows, contract)) await nextTurn();
    explainer = loadExplainer(pipeline, contract);
    const row = Float64Array.from(fromValues(contract, pipeline.goldenRows.features.slice(0, 1)).features);
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
    contract,
    halfWidths,
    explainer,
    predict: session.run,
    retire: session.release,
  };
}

/** After the golden rows, as it is held against them. */
function loadExplainer({ explanation, goldenRows }: LoadablePipeline, contract: Contract): Explainer | null {
  if (explanation === null || explanation === undefined) return null;
  const explainer = createExplainer(explanation, contract);
  checkExplainer(explainer, goldenRows, contract);
  return explainer;
}
