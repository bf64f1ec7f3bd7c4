/** The columns of `predictions` that a record goes into: those of every contract, around the features of its own. */
import { type Column, type Contract, onceForEach } from '../contract/contract.ts';

/** Of the columns, each ended by a semicolon. */
const RECORD_TYPES = /^uuid;((double precision|bigint|boolean|text);)*double precision;text;timestamp with time zone;$/;

/** In the order of a record; the same array for the same contract. */
export const recordColumns = onceForEach((contract: Pick<Contract, 'columns'>): readonly Column[] => [
  { name: 'id', type: 'uuid' },
  ...contract.columns,
  { name: 'prediction', type: 'double precision' },
  { name: 'pipeline_version', type: 'text' },
  { name: 'created_at', type: 'timestamp with time zone' },
]);

/** Those of the features. */
export function featureColumns(columns: readonly Column[]): readonly Column[] {
  return columns.slice(1, -3);
}

/** Whether they can be those of a record: what is read from a file may name others. */
export function areOfRecord(columns: readonly Column[]): boolean {
  return RECORD_TYPES.test(columns.map(({ type }) => `${type};`).join(''));
}
