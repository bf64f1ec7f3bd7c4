/** Which rows a version proves itself with when it is loaded, and how they are kept. */
import { type Contract, mayBeMissing } from '../contract/contract.ts';
import type { Feature } from '../contract/features-schema.ts';
import { type GoldenRows, isUnknownText, valueOfSlot } from '../contract/rows.ts';
import type { Value } from '../contract/values.ts';
import type { DenseMatrix } from '../estimators/dense-matrix.ts';

const GOLDEN_ROWS = 16;

/**
 * Rows of the training data with the answers of the fit: for each feature that is missing somewhere, or has a text that the
 * contract does not know, the first of these rows; then rows spread evenly, the first and the last among them.
 */
export function goldenRows(X: DenseMatrix, fitted: Float64Array, contract: Contract): GoldenRows {
  const odd = firstOddRows(X, contract).slice(0, GOLDEN_ROWS / 2);
  const rows = [...new Set([...odd, ...evenly(X.rows, GOLDEN_ROWS - odd.length)])];
  const strange = { contract, texts: [unknownText(contract)] };
  const valueAt = (feature: Feature, slot: number): Value =>
    valueOfSlot(feature, isUnknownText(feature, slot, contract) ? contract.texts.length : slot, strange);
  return {
    features: rows.map((row) => contract.features.map((feature, k) => valueAt(feature, X.data[row * X.columns + k]!))),
    predictions: rows.map((row) => fitted[row]!),
  };
}

/** The first row in which each feature is missing, and the first in which its text is unknown; some may be the same. */
function firstOddRows(X: DenseMatrix, contract: Contract): number[] {
  const rows = contract.features.flatMap((feature, column) => [
    mayBeMissing(feature) ? firstRow(X, column, Number.isNaN) : [],
    feature.dtype === 'string' ? firstRow(X, column, (slot) => isUnknownText(feature, slot, contract)) : [],
  ]);
  return [...new Set(rows.flat())].filter((row) => row !== -1).sort((a, b) => a - b);
}

function firstRow(X: DenseMatrix, column: number, isOdd: (slot: number) => boolean): number {
  for (let row = 0; row < X.rows; row++) if (isOdd(X.data[row * X.columns + column]!)) return row;
  return -1;
}

function evenly(n: number, count: number): number[] {
  const rows = Math.min(count, n);
  return Array.from({ length: rows }, (_, i) => Math.round((i * (n - 1)) / Math.max(1, rows - 1)));
}

/** Stands for all texts that a contract does not know: what they were is not kept. */
function unknownText({ texts }: Contract): string {
  let text = 'unknown';
  while (texts.includes(text)) text += '?';
  return text;
}
