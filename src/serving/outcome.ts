/** What becomes of the rows of a request: all of them are answered, or none. */

export type Outcome = Answer | Refusal;

/** The answers to rows that were sent together, in their order. */
export interface Answer {
  predictions: number[];
  ids: string[];
  pipelineVersion: string;
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
