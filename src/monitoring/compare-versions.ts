/**
 * Two versions side by side: their cross-validations, what became of their predictions, and their answers to the newest stored rows, which both are run on here,
 * whichever has answered them. In the form in which the command gives it out.
 */

import type { Contract } from '../contract/contract.ts';
import type { Queryable } from '../database/pool.ts';
import { RidgelineError, reasonOf } from '../errors.ts';
import { newestRows } from '../prediction-log/postgres/newest-rows.ts';
import { findVersion } from '../registry/version-catalogue.ts';
import { type AgreementOfVersions, agreementOf } from './agreement-of-versions.ts';
import { compareInField, type FieldComparison } from './compare-in-field.ts';
import { answerSideBySide, type ReadRows } from './side-by-side.ts';

export interface CrossValidation {
  rmse: number | null;
  mae: number | null;
  r2: number | null;
}

export interface Comparison {
  a: string;
  b: string;
  cross_validation: { a: CrossValidation; b: CrossValidation };
  /** Null where there is no day on which both answered and the truth of both is known. */
  field: FieldComparison | null;
  agreement: AgreementOfVersions;
}

export interface ComparisonOptions {
  /** Of versions without a declaration of their own. */
  shipped: Contract;
  now: Date;
}

const NEWEST_ROWS = 1_000;

/** The comparison, and what people should know of it. Throws `unknown_version`. */
export async function compareVersions(
  client: Queryable,
  [a, b]: readonly [string, string],
  options: ComparisonOptions,
): Promise<{ comparison: Comparison; notes: string[] }> {
  const cross_validation = {
    a: await crossValidationOf(client, a, options),
    b: await crossValidationOf(client, b, options),
  };
  const field = await compareInField(client, [a, b], options.now);
  const { agreement, notes } = await agreementOn(client, [a, b], options);
  return { comparison: { a, b, cross_validation, field, agreement }, notes };
}

async function crossValidationOf(
  client: Queryable,
  version: string,
  { shipped: { declaration: shipped }, now }: ComparisonOptions,
): Promise<CrossValidation> {
  const found = await findVersion(client, version, { shipped, now });
  if (!found) throw new RidgelineError('unknown_version', { detail: `${version} is not there.` });
  const { cv_rmse: rmse = null, cv_mae: mae = null, cv_r2: r2 = null } = found.metrics;
  return { rmse, mae, r2 };
}

async function agreementOn(
  client: Queryable,
  versions: readonly [string, string],
  { shipped }: ComparisonOptions,
): Promise<{ agreement: AgreementOfVersions; notes: string[] }> {
  try {
    const read: ReadRows = (columns) => newestRows(client, columns, NEWEST_ROWS);
    const { stored, a, b } = await answerSideBySide(client, versions, { shipped, read });
    return { agreement: agreementOf(a, b), notes: notesOn(stored, a.length) };
  } catch (error) {
    if (!(error instanceof RidgelineError)) throw error;
    return { agreement: agreementOf([], []), notes: [`They cannot be run. ${reasonOf(error)}`] };
  }
}

function notesOn(stored: number, compared: number): string[] {
  if (stored === 0) return ['No prediction is stored yet.'];
  const notes = [];
  if (stored < NEWEST_ROWS) notes.push(`${stored} predictions are stored; the newest ${NEWEST_ROWS} are compared.`);
  const others = stored - compared;
  if (others > 0) notes.push(`${others} of the newest rows are left out: one of the versions does not take them.`);
  return notes;
}
