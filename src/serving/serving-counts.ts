/** What is counted of the data plane, for the metrics. */
import { createHistogram } from '../metrics/histogram.ts';
import type { ServingFacts } from '../metrics/service-samples.ts';

export interface ServingCounts {
  /** A request has waited so long for a run. */
  waited(seconds: number): void;
  /** A run has taken so long. */
  ran(seconds: number): void;
  /** So many rows are answered with predictions. */
  answered(rows: number): void;
  facts(): ServingFacts;
}

export function createServingCounts(): ServingCounts {
  const waits = createHistogram();
  const runs = createHistogram();
  let rows = 0;
  return {
    waited: waits.observe,
    ran: runs.observe,
    answered(count) {
      rows += count;
    },
    facts: () => ({ waits: waits.value(), runs: runs.value(), rows }),
  };
}
