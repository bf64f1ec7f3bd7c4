/**
 * What becomes of predictions whose insert has failed, by SQLSTATE. A record becomes a dead letter once it is certain that
 * to try again cannot help; what somebody can mend is tried for ever.
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
import type { Column } from '../../contract/contract.ts';
import { escapeIdentifier } from '../../database/pool.ts';
import type { Failure } from '../prediction-store.ts';

const REFUSED = /^(2[0123]|38|39|44|54|P0)/;
const UNAVAILABLE = /^(08|28|3D|53|57|F0|25006)/;
const UNIQUE_VIOLATION = '23505';
const NOT_NULL_VIOLATION = '23502';
const CHECK_VIOLATION = '23514';
const QUERY_CANCELED = '57014';
const SQLSTATE = /^[0-9A-Z]{5}$/;
/** The routine of Postgres that checks a row against the policies of its table. */
const ROW_CHECK = 'ExecWithCheckOptions';
/** The routines that find a row's partition, and check a row against the bounds of one. */
const PARTITION_CHECK = /^(ExecFindPartition|ExecPartitionCheckEmitError)$/;

/** Of a statement that was not answered in time. */
export const TOO_LATE = 'RIDGELINE_LATE';
/** Of a table with a column that must be given and that no prediction has. */
const UNKNOWN_COLUMN = 'RIDGELINE_COLUMN';
/** Of a table without a column that predictions have. */
const MISSING_COLUMN = 'RIDGELINE_MISSING';
/** Of a record that Postgres has taken and not kept as it was. */
const NOT_KEPT = 'RIDGELINE_NOT_KEPT';
/** The message of `pg` for the same, at the pool's own limit. */
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
  if (code === UNKNOWN_COLUMN || code === MISSING_COLUMN || hasMoved(error)) return 'blocked';
  if (REFUSED.test(code) || code === NOT_KEPT || routine === ROW_CHECK) return 'refused';
  return UNAVAILABLE.test(code) || !SQLSTATE.test(code) ? 'unavailable' : 'blocked';
}

/** Whether it came from answers of the server, so that the connection can still be used. */
export function isAnswer(error: unknown): boolean {
  const { code = '', routine } = error as SqlError;
  if (code === NOT_KEPT || code === MISSING_COLUMN) return true;
  return SQLSTATE.test(code) && routine !== undefined && !UNAVAILABLE.test(code);
}

/**
 * Whether no partition takes a row, or not the one that it was sent to. Either it went to the default while the month's
 * partition was made, which the next statement sees, or somebody has taken both away and may put them back.
 */
export function hasMoved(error: unknown): boolean {
  const { code, routine } = error as SqlError;
  return code === CHECK_VIOLATION && PARTITION_CHECK.test(routine ?? '');
}

/** Of a record that would not be there with the values that were answered. */
export function contentRefused(message: string): Error {
  return Object.assign(new Error(message), { code: NOT_KEPT });
}

/**
 * Of predictions under a contract that was not published in this database: it was restored from an earlier backup, or it is
 * another one. Or somebody has renamed a column.
 */
export function columnsMissing(columns: readonly Column[]): Error {
  const names = columns.map(({ name }) => escapeIdentifier(name)).join(', ');
  const added = columns.map(({ name, type }) => `add column ${escapeIdentifier(name)} ${type}`).join(', ');
  const message =
    `predictions has no column ${names}. If it was renamed, give it its name back; else publish the pipeline that answered ` +
    `in this database, or run: alter table predictions ${added};`;
  return Object.assign(new Error(message), { code: MISSING_COLUMN });
}

/** What to tell of an error instead, where its own words would blame the content for what is wrong with the table. */
export function explained(error: unknown, columns: readonly Column[]): unknown {
  const { code, column } = error as SqlError;
  if (code !== NOT_NULL_VIOLATION || columns.some(({ name }) => name === column)) return error;
  const message = `predictions has a column "${column}" that must not be null and that no prediction has. Give it a default, or drop it.`;
  return Object.assign(new Error(message, { cause: error }), { code: UNKNOWN_COLUMN });
}
