/** Records of values of any type, and of null. For plain numbers it gives what encode-numbers.ts gives, more slowly. */
import type { Column } from '../../contract/contract.ts';
import { type BatchBlocks, FLOAT64_BYTES, ID_BYTES } from '../prediction-batch.ts';
import { isWhole, misfitOfBigint, setInt64 } from './int64.ts';
import { INT16_BYTES, INT32_BYTES, INT64_BYTES, NULL_LENGTH, POSTGRES_EPOCH_MS } from './tuples.ts';

/** Shorter ones are copied faster by a loop than by the function for it. */
const LONG_TEXT_BYTES = 24;

/**
 * Writes the records of a batch whose features have these types, and returns where they end. A row that a column cannot hold
 * is told to `unfit`.
 */
export function encodeValues(
  batch: BatchBlocks,
  types: readonly Column['type'][],
  records: Buffer,
  start: number,
  unfit: (row: number, reason: string) => void,
): number {
  const { ids, idsAt, features, featuresAt, predictions, predictionsAt, rows, width, textOf } = batch;
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  const version = Buffer.from(batch.pipelineVersion, 'utf8');
  const createdAt = Math.round((batch.createdAt - POSTGRES_EPOCH_MS) * 1000);
  let at = start;
  for (let row = 0; row < rows; row++) {
    const recordAt = at;
    let misfit: string | undefined;
    view.setInt16(at, width + 4);
    at = putBytes(view, at + INT16_BYTES, ids, idsAt + row * ID_BYTES, ID_BYTES);
    for (let feature = 0; feature < width; feature++) {
      const slot = features.getFloat64(featuresAt + (row * width + feature) * FLOAT64_BYTES, true);
      const type = types[feature];
      if (textOf && Number.isNaN(slot)) {
        view.setInt32(at, NULL_LENGTH);
        at += INT32_BYTES;
      } else if (type === 'double precision') {
        at = putDouble(view, at, slot);
      } else if (type === 'bigint') {
        if (isWhole(slot)) at = putInt64(view, at, slot);
        else misfit = misfitOfBigint(slot);
      } else if (type === 'boolean') {
        if (slot === 0 || slot === 1) at = putBoolean(view, at, slot);
        else misfit = `${slot} is neither 0 nor 1, as its column holds`;
      } else {
        const text = textOf?.(slot);
        if (text) at = putBytes(view, at, text, 0, text.length);
        else misfit = `${slot} is not the place of a text, as its column holds`;
      }
    }
    if (misfit !== undefined) {
      unfit(row, misfit);
      at = recordAt;
      continue;
    }
    at = putDouble(view, at, predictions.getFloat64(predictionsAt + row * FLOAT64_BYTES, true));
    at = putBytes(view, at, version, 0, version.length);
    at = putInt64(view, at, createdAt);
  }
  return at;
}

/** The bytes that the texts of a batch take in its records, each as often as it occurs. */
export function textBytes(batch: BatchBlocks, types: readonly Column['type'][]): number {
  const { features, featuresAt, rows, width, textOf } = batch;
  let bytes = 0;
  for (let feature = 0; feature < types.length; feature++) {
    if (types[feature] !== 'text') continue;
    for (let row = 0; row < rows; row++) {
      const place = features.getFloat64(featuresAt + (row * width + feature) * FLOAT64_BYTES, true);
      bytes += textOf?.(place)?.length ?? 0;
    }
  }
  return bytes;
}

function putDouble(view: DataView, at: number, value: number): number {
  view.setInt32(at, INT64_BYTES);
  view.setFloat64(at + INT32_BYTES, value);
  return at + INT32_BYTES + INT64_BYTES;
}

function putInt64(view: DataView, at: number, value: number): number {
  view.setInt32(at, INT64_BYTES);
  setInt64(view, at + INT32_BYTES, value);
  return at + INT32_BYTES + INT64_BYTES;
}

function putBoolean(view: DataView, at: number, value: number): number {
  view.setInt32(at, 1);
  view.setUint8(at + INT32_BYTES, value);
  return at + INT32_BYTES + 1;
}

function putBytes(view: DataView, at: number, bytes: Uint8Array, from: number, length: number): number {
  const to = at + INT32_BYTES;
  view.setInt32(at, length);
  if (length < LONG_TEXT_BYTES) for (let i = 0; i < length; i++) view.setUint8(to + i, bytes[from + i]!);
  else new Uint8Array(view.buffer, view.byteOffset + to, length).set(bytes.subarray(from, from + length));
  return to + length;
}
