/**
 * Scratch buffers of the batch that is being answered, reused for the next one: V8 frees typed arrays one by one, and a
 * garbage collection that finds thousands of them holds the event loop (decision 0006). So a view is valid until the batch
 * has been appended to the prediction log, which copies what it keeps.
 */
import type { Contract } from '../contract/contract.ts';
import type { FeatureRows } from '../contract/rows.ts';
import { ID_BYTES } from '../prediction-log/prediction-batch.ts';

export interface BatchMemory {
  /** Puts the rows of jobs of one contract together: their slots, row-major, and the texts that these refer to. */
  join(jobs: readonly FeatureRows[]): JoinedRows;
  /** Room for a float64 a row. */
  predictions(rows: number): Float64Array;
  /** Room for an id a row. */
  ids(rows: number): Uint8Array;
}

interface JoinedRows {
  features: Float64Array;
  texts?: readonly string[] | undefined;
}

export interface BatchMemoryOptions {
  /** Of a single job. */
  maxRows: number;
  /** Of jobs that are put together. */
  maxJoinedRows: number;
}

export function createBatchMemory({ maxRows, maxJoinedRows }: BatchMemoryOptions): BatchMemory {
  /** Grows with the widest contract so far: 6.5 MB for 2,048 rows of 400 features. */
  let joined = new Float64Array();
  const predictions = new Float64Array(maxRows);
  const ids = new Uint8Array(maxRows * ID_BYTES);
  return {
    join(jobs) {
      const { contract, features: ofFirst, texts: textsOfFirst } = jobs[0]!;
      if (jobs.length === 1 && ofFirst instanceof Float64Array) return { features: ofFirst, texts: textsOfFirst };
      const values = maxJoinedRows * contract.features.length;
      if (joined.length < values) joined = new Float64Array(values);
      const texts: string[] = [];
      let end = 0;
      for (const { features, texts: own } of jobs) {
        joined.set(features, end);
        if (own) {
          if (texts.length > 0) moveTexts(joined.subarray(end, end + features.length), contract, texts.length);
          for (const text of own) texts.push(text);
        }
        end += features.length;
      }
      return { features: joined.subarray(0, end), ...(texts.length > 0 && { texts }) };
    },
    predictions: (rows) => predictions.subarray(0, rows),
    ids: (rows) => ids.subarray(0, rows * ID_BYTES),
  };
}

/** The texts of these rows now come behind `by` others; the contract's own texts stay where they are. */
function moveTexts(slots: Float64Array, { features, textFeatures, texts }: Contract, by: number): void {
  for (let row = 0; row < slots.length; row += features.length) {
    for (const feature of textFeatures) if (slots[row + feature]! >= texts.length) slots[row + feature]! += by;
  }
}
