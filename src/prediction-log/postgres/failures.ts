/**
 * What becomes of predictions whose insert has failed, by SQLSTATE. What cannot be stored ends as a dead letter once it is
 * certain that to try again cannot help; what somebody can mend is tried for ever.
 *
 *     refused      20 21 22 23 38 39 44 54 P0   the content, or a trigger's verdict on it: halved until it stands alone
 *     duplicate    23505                    a key is there already; of the primary key or of another unique index
 *     slow         57014, our own limits    fewer at once may do
 *     unavailable  08 28 3D 53 57 F0 25006, and everything without an SQLSTATE (the network): the database for all
 *     blocked      all others, 42 above all: a column renamed, a right revoked, a partition taken away, a deadlock, a
 *                  table that is damaged in part. Others may go through meanwhile
 *
 * Row level security and a column that somebody has added are told apart below, because their classes say too little.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
import type { Column } from '../../feature-schema.ts';
import type { Failure } from '../prediction-store.ts';

const REFUSED = /^(2[0123]|38|39|44|54|P0)/;
const UNAVAILABLE = /^(08|28|3D|53|57|F0|25006)/;
const UNIQUE_VIOLATION = '23505';
const NOT_NULL_VIOLATION = '23502';
const CHECK_VIOLATION = '23514';
const QUERY_CANCELED = '57014';
const SQLSTATE = /^[0-9A-Z]{5}$/;
/** The routine of Postgres that holds a row against the policies of its table. */
const ROW_CHECK = 'ExecWithCheckOptions';
/** Those that look for a row's partition, and hold it against the bounds of one. */
const PARTITION_CHECK = /^(ExecFindPartition|ExecPartitionCheckEmitError)$/;

/** Of a statement that has waited for its answer longer than it may. */
export const TOO_LATE = 'RIDGELINE_LATE';
/** Of a table that wants what no prediction has. */
const UNKNOWN_COLUMN = 'RIDGELINE_COLUMN';
/** Of a record that Postgres has taken and not kept as it was. */
const NOT_KEPT = 'RIDGELINE_NOT_KEPT';
/** As TOO_LATE, of the pool's own limit, in words of `pg`. */
const READ_TIMEOUT = 'Query read timeout';

interface SqlError extends Error {
  code?: string;
  column?: string;
  routine?: string;
}

export function failureOf(error: unknown): Failure {
  const { code = '', message, routine } = error as SqlError;
  if (code === QUERY_CANCELED || code === TOO_LATE || message === READ_TIMEOUT) return 'slow';
  if (code === UNIQUE_VIOLATION) return 'duplicate';
  if (code === UNKNOWN_COLUMN || hasMoved(error)) return 'blocked';
  if (REFUSED.test(code) || code === NOT_KEPT || routine === ROW_CHECK) return 'refused';
  return UNAVAILABLE.test(code) || !SQLSTATE.test(code) ? 'unavailable' : 'blocked';
}

/** Whether the server has answered with it, or been found out by its answers, so that the connection is of further use. */
export function isAnswer(error: unknown): boolean {
  const { code = '', routine } = error as SqlError;
  if (code === NOT_KEPT) return true;
  return SQLSTATE.test(code) && routine !== undefined && !UNAVAILABLE.test(code);
}

/**
 * Whether no partition takes a row, or not the one that it was sent to: it was the default, and that of the month was made
 * in the same instant, which the next statement sees; or somebody has taken both away and may put them back.
 */
export function hasMoved(error: unknown): boolean {
  const { code, routine } = error as SqlError;
  return code === CHECK_VIOLATION && PARTITION_CHECK.test(routine ?? '');
}

/** Of a record that would not be there with the values that were answered. */
export function contentRefused(message: string): Error {
  return Object.assign(new Error(message), { code: NOT_KEPT });
}

/** What to tell of an error instead, where its own words would blame the content for what is wrong with the table. */
export function explained(error: unknown, columns: readonly Column[]): unknown {
  const { code, column } = error as SqlError;
  if (code !== NOT_NULL_VIOLATION || columns.some(({ name }) => name === column)) return error;
  const message = `predictions has a column "${column}" that must not be null and that no prediction has. Give it a default, or drop it.`;
  return Object.assign(new Error(message, { cause: error }), { code: UNKNOWN_COLUMN });
}
