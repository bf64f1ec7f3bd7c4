/** What an artefact answers to rows, outside of any server. */
import type { Contract } from '../contract/contract.ts';
import { toFeatureRows, valueOfSlot } from '../contract/rows.ts';
import { rowUnder } from '../contract/stored-row.ts';
import type { DenseMatrix } from '../estimators/dense-matrix.ts';
import { openOnnxSession } from './onnx-session.ts';

const ROWS_AT_ONCE = 4_096;

/** One answer a row of slots, which may be no number. Throws `bad_artefact`, and `run_failed`. */
export function answersOf(
  artefact: Uint8Array,
  { names }: Contract,
  { data, rows, columns }: DenseMatrix,
): Float64Array {
  const session = openOnnxSession(artefact, names);
  const answers = new Float64Array(rows);
  try {
    for (let start = 0; start < rows; start += ROWS_AT_ONCE) {
      const end = Math.min(rows, start + ROWS_AT_ONCE);
      answers.set(session.run(data.slice(start * columns, end * columns), end - start), start);
    }
  } finally {
    session.release();
  }
  return answers;
}

/** A text that no contract has learned. */
const UNKNOWN = 'a text that no category is';

/** Rows of one contract as another one has them; undefined where it does not take each of them. */
export function rowsUnder(to: Contract, from: Contract, X: DenseMatrix): DenseMatrix | undefined {
  if (to.text === from.text) return X;
  const data = new Float64Array(X.rows * to.names.length);
  for (let row = 0; row < X.rows; row++) {
    const values = from.features.map((feature, i) => {
      const value = valueOfSlot(feature, X.data[row * X.columns + i]!, { contract: from, texts: [UNKNOWN] });
      return [to.features.find(({ name }) => name === feature.name)?.column ?? '', value] as const;
    });
    const sent = rowUnder(to, Object.fromEntries(values));
    if (!sent) return undefined;
    data.set(Float64Array.from(toFeatureRows(to, [sent]).features), row * to.names.length);
  }
  return { rows: X.rows, columns: to.names.length, data };
}
