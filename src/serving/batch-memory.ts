/**
 * Scratch buffers of the batch that is being answered, reused for the next one: V8 frees typed arrays one by one, and a
 * garbage collection that finds thousands of them holds the event loop (decision 0006). So a view is valid until the batch
 * has been appended to the prediction log, which copies what it keeps.
 */
import { ID_BYTES } from '../prediction-log/prediction-batch.ts';

export interface BatchMemory {
  /** Puts the features of jobs together, row-major. */
  join(jobs: readonly { features: ArrayLike<number> }[]): Float64Array;
  /** Room for a float64 a row. */
  predictions(rows: number): Float64Array;
  /** Room for an id a row. */
  ids(rows: number): Uint8Array;
}

export function createBatchMemory(maxRows: number, featureCount: number): BatchMemory {
  const joined = new Float64Array(maxRows * featureCount);
  const predictions = new Float64Array(maxRows);
  const ids = new Uint8Array(maxRows * ID_BYTES);
  return {
    join(jobs) {
      const [first] = jobs;
      if (jobs.length === 1 && first!.features instanceof Float64Array) return first!.features;
      let end = 0;
      for (const { features } of jobs) {
        joined.set(features, end);
        end += features.length;
      }
      return joined.subarray(0, end);
    },
    predictions: (rows) => predictions.subarray(0, rows),
    ids: (rows) => ids.subarray(0, rows * ID_BYTES),
  };
}
