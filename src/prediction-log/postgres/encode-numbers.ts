/**
 * Records of numbers, of which there are most. This loop is the relay's work for each row, and asks nothing about a value but
 * whether its column holds whole numbers; encode-values.ts does the same for values of any type.
 */
import { type BatchBlocks, FLOAT64_BYTES, ID_BYTES } from '../prediction-batch.ts';
import { isWhole, misfitOfBigint, setInt64 } from './int64.ts';
import { INT16_BYTES, INT32_BYTES, INT64_BYTES, POSTGRES_EPOCH_MS } from './tuples.ts';

/** Writes the records of a batch, and returns where they end. A row that a column cannot hold is told to `unfit`. */
export function encodeNumbers(
  batch: BatchBlocks,
  isBigint: readonly boolean[],
  records: Buffer,
  start: number,
  unfit: (row: number, reason: string) => void,
): number {
  const { ids, features, predictions, rows, width } = batch;
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  const version = Buffer.from(batch.pipelineVersion, 'utf8');
  const createdAt = Math.round((batch.createdAt - POSTGRES_EPOCH_MS) * 1000);
  let at = start;
  for (let row = 0; row < rows; row++) {
    const recordAt = at;
    let idAt = batch.idsAt + row * ID_BYTES;
    let featureAt = batch.featuresAt + row * width * FLOAT64_BYTES;
    let misfit: number | undefined;
    view.setInt16(at, width + 4);
    view.setInt32(at + INT16_BYTES, ID_BYTES);
    at += INT16_BYTES + INT32_BYTES;
    for (const end = idAt + ID_BYTES; idAt < end; ) records[at++] = ids[idAt++]!;
    for (let column = 0; column < width; column++) {
      const value = features.getFloat64(featureAt, true);
      view.setInt32(at, INT64_BYTES);
      if (!isBigint[column]) view.setFloat64(at + INT32_BYTES, value);
      else if (isWhole(value)) setInt64(view, at + INT32_BYTES, value);
      else misfit = value;
      featureAt += FLOAT64_BYTES;
      at += INT32_BYTES + INT64_BYTES;
    }
    if (misfit !== undefined) {
      unfit(row, misfitOfBigint(misfit));
      at = recordAt;
      continue;
    }
    view.setInt32(at, INT64_BYTES);
    view.setFloat64(at + INT32_BYTES, predictions.getFloat64(batch.predictionsAt + row * FLOAT64_BYTES, true));
    at += INT32_BYTES + INT64_BYTES;
    view.setInt32(at, version.length);
    at += INT32_BYTES;
    for (let i = 0; i < version.length; ) records[at++] = version[i++]!;
    view.setInt32(at, INT64_BYTES);
    setInt64(view, at + INT32_BYTES, createdAt);
    at += INT32_BYTES + INT64_BYTES;
  }
  return at;
}
