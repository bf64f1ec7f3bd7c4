/** What callers get for their rows. */

/** The answer to rows that were sent together, in their order. */
export interface Answer {
  predictions: number[];
  ids: string[];
  pipelineVersion: string;
}
