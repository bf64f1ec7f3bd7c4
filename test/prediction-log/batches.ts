/** Made-up predictions for the tests of this room. */
import type { Column } from '../../src/contract/contract.ts';
import { recordColumns } from '../../src/prediction-log/postgres/copy-format.ts';
import type { BatchBlocks, PredictionBatch } from '../../src/prediction-log/prediction-batch.ts';
import { createPredictionIds } from '../../src/serving/prediction-ids.ts';
import { contractOf } from '../support/declaration.ts';

const newIds = createPredictionIds();

export function makeBatch(rows: number, width = 13, pipelineVersion = '2026_11_22__16_08_52'): PredictionBatch {
  const createdAt = new Date('2026-11-22T16:10:00.123Z');
  const ids = new Uint8Array(16 * rows);
  newIds(ids, createdAt.getTime());
  return {
    contract: contractOf(Array.from({ length: width }, (_, i) => ({ name: `f${i}`, dtype: 'float64' }))),
    ids,
    features: Float64Array.from({ length: rows * width }, (_, i) => Math.sin(i) * 10 ** (i % 20)),
    predictions: Float64Array.from({ length: rows }, (_, i) => 20 + Math.cos(i)),
    pipelineVersion,
    createdAt,
  };
}

export function makeColumns(width = 13): Column[] {
  return recordColumns(Array.from({ length: width }, (_, i) => ({ name: `f${i}`, type: 'double precision' })));
}

/** What batches hold, put together again. */
export function contentsOf(batches: readonly BatchBlocks[]) {
  const hex = (blockOf: (batch: BatchBlocks) => [memory: Uint8Array | DataView, at: number, bytes: number]) =>
    batches
      .map(blockOf)
      .map(([{ buffer, byteOffset }, at, bytes]) => Buffer.from(buffer, byteOffset + at, bytes).toString('hex'))
      .join('');
  return {
    ids: hex(({ ids, idsAt, rows }) => [ids, idsAt, 16 * rows]),
    features: hex(({ features, featuresAt, rows, width }) => [features, featuresAt, 8 * rows * width]),
    predictions: hex(({ predictions, predictionsAt, rows }) => [predictions, predictionsAt, 8 * rows]),
    versions: [...new Set(batches.map(({ pipelineVersion }) => pipelineVersion))],
    times: [...new Set(batches.map(({ createdAt }) => createdAt))],
  };
}

/** The same of a batch as it was made. */
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
