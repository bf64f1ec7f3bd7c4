/** Made-up predictions for the tests of this room. */
import { type Column, type Contract, createContract } from '../../src/contract/contract.ts';
import { toFeatureRows } from '../../src/contract/rows.ts';
import type { Value } from '../../src/contract/values.ts';
import type { BatchBlocks, PredictionBatch } from '../../src/prediction-log/prediction-batch.ts';
import { recordColumns } from '../../src/prediction-log/record-columns.ts';
import { createPredictionIds } from '../../src/serving/prediction-ids.ts';

const newIds = createPredictionIds();
const numbers = new Map<number, Contract>();

/** The contract of so many numbers, f0 and on: the same one at each call. Wider than any that is published, if need be. */
export function contractOfNumbers(width: number): Contract {
  const known = numbers.get(width);
  if (known) return known;
  const features = Array.from({ length: width }, (_, i) => {
    const name = `f${i}`;
    return { name, column: name, dtype: 'float64', kind: 'numerical', max_length: 1024, unknown: 'accept' } as const;
  });
  const made = createContract({
    name: 'numbers',
    features: features.map((feature) => ({ ...feature, nullable: false, optional: false })),
    output: { task: 'regression', name: 'prediction' },
  });
  numbers.set(width, made);
  return made;
}

/** Rows of numbers, whole ones where the contract wants them; of f0 and on when only their count is given. */
export function makeBatch(
  rows: number,
  of: number | Contract = 13,
  pipelineVersion = '2026_11_22__16_08_52',
): PredictionBatch {
  const contract = typeof of === 'number' ? contractOfNumbers(of) : of;
  const { features } = contract;
  const createdAt = new Date('2026-11-22T16:10:00.123Z');
  const ids = new Uint8Array(16 * rows);
  newIds(ids, createdAt.getTime());
  const valueAt = (i: number) =>
    features[i % features.length]!.dtype === 'float64' ? Math.sin(i) * 10 ** (i % 20) : i;
  return {
    contract,
    ids,
    features: Float64Array.from({ length: rows * features.length }, (_, i) => valueAt(i)),
    predictions: Float64Array.from({ length: rows }, (_, i) => 20 + Math.cos(i)),
    pipelineVersion,
    createdAt,
  };
}

/** Predictions for rows that callers have sent. */
export function batchOf(
  contract: Contract,
  rows: readonly Record<string, Value>[],
  createdAt = new Date('2026-11-22T16:10:00.123Z'),
): PredictionBatch {
  const { features, texts } = toFeatureRows(contract, rows);
  const ids = new Uint8Array(16 * rows.length);
  newIds(ids, createdAt.getTime());
  return {
    contract,
    ids,
    features: Float64Array.from(features),
    texts,
    predictions: Float64Array.from(rows, (_, i) => 20 + Math.cos(i)),
    pipelineVersion: '2026_11_22__16_08_52',
    createdAt,
  };
}

/** Its ids, as they are answered. */
export function idsOf({ ids }: PredictionBatch): string[] {
  return Array.from({ length: ids.length / 16 }, (_, row) =>
    Buffer.from(ids.subarray(16 * row, 16 * row + 16))
      .toString('hex')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
  );
}

export function makeColumns(width = 13): readonly Column[] {
  return recordColumns(contractOfNumbers(width));
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
