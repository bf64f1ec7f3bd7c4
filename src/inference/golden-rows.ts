/**
 * Golden rows: rows with the answers that the fit gave, kept with a version. Every session has to reproduce them before it
 * may answer callers: together, in reverse and one by one, because a run joins the rows of several callers, and an answer
 * must not depend on the other rows or on their order.
 */
import { agrees, sizeOf } from '../agreement.ts';
import { type Contract, mayBeMissing } from '../contract/contract.ts';
import type { Feature } from '../contract/features-schema.ts';
import { fromValues, type GoldenRows } from '../contract/rows.ts';
import { fits } from '../contract/values.ts';
import { RidgelineError } from '../errors.ts';
import type { OnnxSession } from './onnx-session.ts';
import { rejectionByRuntime } from './runtime-failure.ts';

/** Bounds the time of a check, which also runs them one by one. A training keeps 16. */
const MAX_GOLDEN_ROWS = 1000;
const ROWS_A_TURN = 100;

/**
 * Throws `bad_artefact` unless the session gives the answers of the fit. It yields where the event loop may turn, every
 * millisecond or so; a command runs it through.
 */
export function* checkGoldenRows(session: OnnxSession, golden: unknown, contract: Contract): Generator<void, void> {
  const { features, predictions } = readGoldenRows(golden, contract);
  const slots = Array.from(fromValues(contract, features).features);
  const width = contract.features.length;
  const size = sizeOf(predictions);

  function compare(order: number[], how: string): void {
    const rows = Float64Array.from(order.flatMap((row) => slots.slice(row * width, (row + 1) * width)));
    // Filled with NaN, so that an answer with too few values does not pass.
    const answers = run(session, rows, new Float64Array(order.length).fill(Number.NaN));
    order.forEach((row, i) => {
      if (agrees(answers[i]!, predictions[row]!, size)) return;
      throw rejection(`Golden row ${row + 1} gives ${answers[i]} where the fit gave ${predictions[row]}${how}.`);
    });
  }

  const inOrder = Array.from(features.keys());
  compare(inOrder, '');
  yield;
  compare(inOrder.toReversed(), ', asked in another order');
  for (const row of inOrder) {
    if (row % ROWS_A_TURN === 0) yield;
    compare([row], ', asked alone: its answer depends on the rows beside it');
  }
}

function run(session: OnnxSession, rows: Float64Array, answers: Float64Array): Float64Array {
  try {
    return session.run(rows, answers.length, answers);
  } catch (error) {
    if (!(error instanceof RidgelineError)) throw error;
    throw rejectionByRuntime('cannot run the golden rows', error.message);
  }
}

/** Checks what they hold: they come from a database column or a file, which may hold any JSON. */
function readGoldenRows(golden: unknown, { features: declared }: Contract): GoldenRows {
  const { features, predictions } = (golden ?? {}) as Partial<GoldenRows>;
  const areRows = Array.isArray(features) && Array.isArray(predictions) && features.length === predictions.length;
  const areWhole = areRows && features.every((row) => Array.isArray(row) && row.length === declared.length);
  if (!areWhole || features.length === 0) {
    throw rejection(`The golden rows must be one or more rows of ${declared.length} values, with an answer each.`);
  }
  if (features.length > MAX_GOLDEN_ROWS) {
    throw rejection(`There are ${features.length} golden rows; at most ${MAX_GOLDEN_ROWS} are checked.`);
  }
  features.forEach((row, i) => {
    const wrong = declared.find((feature, k) => !isValueOf(feature, row[k]));
    if (wrong) throw rejection(`Golden row ${i + 1} holds a value of ${wrong.name} that is not ${wrong.dtype}.`);
    if (!Number.isFinite(predictions[i])) throw rejection(`The answer to golden row ${i + 1} is not a finite number.`);
  });
  return { features, predictions };
}

function isValueOf(feature: Feature, value: unknown): boolean {
  return value === null ? mayBeMissing(feature) : fits(feature.dtype, value);
}

const rejection = (detail: string) => new RidgelineError('bad_artefact', { detail });
