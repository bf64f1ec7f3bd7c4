/**
 * Predictions of which the truth is known, as rows to learn from or to judge by: the stored row is the whole input, as it was when
 * it was answered. Never a prediction as a truth.
 */
import { createHash } from 'node:crypto';
import type { Contract } from '../contract/contract.ts';
import { toFeatureRows } from '../contract/rows.ts';
import { rowUnder } from '../contract/stored-row.ts';
import type { Queryable } from '../database/pool.ts';
import type { Dataset } from '../estimators/dense-matrix.ts';
import type { HoldoutRows } from '../gate/holdout-test.ts';
import { type KnownTruth, newestLabels } from '../ground-truth/newest-labels.ts';
import { rowsByKey } from '../prediction-log/postgres/rows-by-key.ts';
import { versionsPredicting } from '../registry/version-targets.ts';

export interface LabelledRow {
  /** Slots in the declared order (contract/rows.ts); a text that the contract does not know has the place after the last. */
  features: Float64Array;
  /** The same for rows of the same values. */
  vector: string;
  actual: number;
  predictedAt: Date;
  observedAt: Date;
  receivedAt: Date;
}

/** More are not read: the newest tell what the world is like now. */
export const MOST_LABELLED = 100_000;

export interface LabelledRowsOptions {
  contract: Contract;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
  /** Only rows that were answered later. */
  after?: Date | null;
  /** The newest so many. */
  limit: number;
}

/** The newest first. Rows of pipelines that predict something else are left out, and rows that the contract does not take. */
export async function readLabelledRows(client: Queryable, options: LabelledRowsOptions): Promise<LabelledRow[]> {
  const { contract, shipped, after = null, limit } = options;
  const versions = await versionsPredicting(client, contract.declaration.output.name, shipped);
  const rows: LabelledRow[] = [];
  for await (const page of newestLabels(client, after)) {
    const truths = page.filter(({ pipelineVersion }) => versions.has(pipelineVersion));
    const keys = truths.map(({ predictionId, predictedAt }) => ({ id: predictionId, createdAt: predictedAt }));
    let place = 0;
    for await (const stored of rowsByKey(client, contract.columns, keys)) {
      const truth = truths[place++]!;
      const row = stored && rowUnder(contract, stored);
      if (row) rows.push(labelledRow(contract, row, truth));
      if (rows.length === limit) return rows;
    }
  }
  return rows;
}

function labelledRow(
  contract: Contract,
  row: Parameters<typeof toFeatureRows>[1][number],
  truth: KnownTruth,
): LabelledRow {
  const { features: slots } = toFeatureRows(contract, [row]);
  const others = contract.texts.length;
  const features = Float64Array.from(slots);
  for (const position of contract.textFeatures) features[position] = Math.min(features[position]!, others);
  const { actual, predictedAt, observedAt, receivedAt } = truth;
  return { features, vector: vectorOf(features), actual, predictedAt, observedAt, receivedAt };
}

/** What rows share that are the same to a pipeline: texts that the contract does not know are one. */
export function vectorOf(features: Float64Array): string {
  // Zero has two signs, and they are one value.
  const values = features.map((value) => value + 0);
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return createHash('sha256').update(bytes).digest('base64');
}

/** Rows one below another. */
export function datasetOf(rows: readonly LabelledRow[], columns: number): Dataset {
  const data = new Float64Array(rows.length * columns);
  for (const [i, { features }] of rows.entries()) data.set(features, i * columns);
  return { X: { rows: rows.length, columns, data }, y: Float64Array.from(rows, ({ actual }) => actual) };
}

/** The same for a test. */
export function holdoutOf(rows: readonly LabelledRow[], contract: Contract): HoldoutRows {
  const { X, y: actuals } = datasetOf(rows, contract.names.length);
  return { contract, X, actuals, predictedAt: rows.map(({ predictedAt }) => predictedAt) };
}
