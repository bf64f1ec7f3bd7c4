/** The rows of a request, and what becomes of them: all of them are answered, or none. */
import type { FeatureRows } from '../contract/rows.ts';

export interface Job extends FeatureRows {
  wanted?: Wanted;
}

export type Outcome = Answer | Refusal;

/** The answers to rows that were sent together, in their order. */
export interface Answer {
  predictions: number[];
  ids: string[];
  pipelineVersion: string;
  /** Where an interval was wanted: half of its width, in the target's unit. */
  halfWidth?: number;
  /** Where they were wanted. */
  contributions?: Contributions;
}

/** What the features add to the predictions of some rows. */
export interface Contributions {
  baseValue: number;
  /** For each row, in the declared order. */
  rows: number[][];
}

/** What a request wants beside its predictions. */
export interface Wanted {
  /** The level of the interval. */
  interval: number | undefined;
  contributions: boolean;
}

/** Why rows cannot be answered: their values lead to no prediction. Nothing of the request has been stored. */
export interface Refusal {
  faults: RowFault[];
}

export interface RowFault {
  /** The row's place in the request, from 0; undefined where it is not known. */
  row: number | undefined;
  code: 'not_finite' | 'not_computable';
  message: string;
}
