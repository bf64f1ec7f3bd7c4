/** Made-up predictions for the tests of this room. */
import type { RecordColumn } from '../../src/prediction-log/postgres/copy-format.ts';
import { recordColumns } from '../../src/prediction-log/postgres/copy-format.ts';
import type { PackedBatch, PredictionBatch } from '../../src/prediction-log/prediction-batch.ts';
import { createPredictionIds } from '../../src/serving/prediction-ids.ts';

const newIds = createPredictionIds();

export function makeBatch(rows: number, width = 13, pipelineVersion = '2026_11_22__16_08_52'): PredictionBatch {
  const createdAt = new Date('2026-11-22T16:10:00.123Z');
  const ids = new Uint8Array(16 * rows);
  newIds(ids, createdAt.getTime());
  return {
    ids,
    features: Float64Array.from({ length: rows * width }, (_, i) => Math.sin(i) * 10 ** (i % 20)),
    predictions: Float64Array.from({ length: rows }, (_, i) => 20 + Math.cos(i)),
    pipelineVersion,
    createdAt,
  };
}

export function makeColumns(width = 13): RecordColumn[] {
  return recordColumns(Array.from({ length: width }, (_, i) => ({ name: `f${i}`, type: 'double precision' })));
}

/** What packed batches hold, put together again. */
export function contentsOf(batches: readonly PackedBatch[]) {
  const bytes = (from: (batch: PackedBatch) => number, to: (batch: PackedBatch) => number) =>
    Buffer.concat(batches.map((batch) => batch.bytes.subarray(from(batch), to(batch)))).toString('hex');
  return {
    ids: bytes(
      ({ idsAt }) => idsAt,
      ({ featuresAt }) => featuresAt,
    ),
    features: bytes(
      ({ featuresAt }) => featuresAt,
      ({ predictionsAt }) => predictionsAt,
    ),
    predictions: bytes(
      ({ predictionsAt }) => predictionsAt,
      ({ predictionsAt, rows }) => predictionsAt + 8 * rows,
    ),
    versions: [...new Set(batches.map(({ pipelineVersion }) => pipelineVersion))],
    times: [...new Set(batches.map(({ createdAt }) => createdAt))],
  };
}

/** The same of a batch that was never packed. */
export function contentsOfBatch({ ids, features, predictions, pipelineVersion, createdAt }: PredictionBatch) {
  const hex = ({ buffer, byteOffset, byteLength }: Uint8Array | Float64Array) =>
    Buffer.from(buffer, byteOffset, byteLength).toString('hex');
  return {
    ids: hex(ids),
    features: hex(features),
    predictions: hex(predictions),
    versions: [pipelineVersion],
    times: [createdAt.getTime()],
  };
}
