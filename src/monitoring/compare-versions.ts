/**
 * Two versions side by side: their cross-validations, what became of their predictions, and their answers to the newest stored rows, which both are run on here,
 * whichever has answered them. In the form in which the command gives it out.
 */

import { type Contract, onceForEach } from '../contract/contract.ts';
import { rowSchema } from '../contract/row-schema.ts';
import { type FeatureRow, toFeatureRows } from '../contract/rows.ts';
import type { Value } from '../contract/values.ts';
import type { Queryable } from '../database/pool.ts';
import { RidgelineError, reasonOf } from '../errors.ts';
import { loadPredictor, type Predictor } from '../inference/predictor.ts';
import { newestRows } from '../prediction-log/postgres/newest-rows.ts';
import { checkSha256 } from '../registry/artefacts.ts';
import { readPipeline } from '../registry/pipeline-versions.ts';
import { contractOfStored } from '../registry/stored-declaration.ts';
import { findVersion } from '../registry/version-catalogue.ts';
import { type AgreementOfVersions, agreementOf } from './agreement-of-versions.ts';
import { compareInField, type FieldComparison } from './compare-in-field.ts';

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
  const loaded: Predictor[] = [];
  try {
    for (const version of versions) loaded.push(await load(client, version, shipped));
    const [a, b] = loaded as [Predictor, Predictor];
    const columns = [...a.contract.columns, ...b.contract.columns];
    const stored = await newestRows(client, columns, NEWEST_ROWS);
    const fitting = stored.flatMap((row) => {
      const [ofA, ofB] = [rowUnder(a.contract, row), rowUnder(b.contract, row)];
      return ofA && ofB ? [{ ofA, ofB }] : [];
    });
    const answersOfB = answersOf(
      b,
      Array.from(fitting, ({ ofB }) => ofB),
    );
    const answered = answersOf(
      a,
      Array.from(fitting, ({ ofA }) => ofA),
    ).flatMap((ofA, i) => {
      const ofB = answersOfB[i]!;
      return Number.isFinite(ofA) && Number.isFinite(ofB) ? [{ ofA, ofB }] : [];
    });
    const agreement = agreementOf(
      Array.from(answered, ({ ofA }) => ofA),
      Array.from(answered, ({ ofB }) => ofB),
    );
    return { agreement, notes: notesOn(stored.length, answered.length) };
  } catch (error) {
    if (!(error instanceof RidgelineError)) throw error;
    return { agreement: agreementOf([], []), notes: [`They cannot be run. ${reasonOf(error)}`] };
  } finally {
    for (const predictor of loaded) predictor.retire();
  }
}

async function load(client: Queryable, version: string, shipped: Contract): Promise<Predictor> {
  const pipeline = (await readPipeline(client, version))!;
  if (pipeline.artefact.length === 0) throw new RidgelineError('version_emptied');
  checkSha256(pipeline);
  return await loadPredictor(pipeline, contractOfStored(pipeline.declaration, shipped));
}

/**
 * A stored row as a caller of the contract would send it; undefined where such a request would be refused, and where it has
 * none of its values, as rows of other contracts have.
 */
function rowUnder(contract: Contract, stored: Record<string, Value>): FeatureRow | undefined {
  const sent = contract.features.flatMap(({ name, column, nullable, optional }) => {
    const value = stored[column] ?? null;
    return value === null && optional && !nullable ? [] : [[name, value] as const];
  });
  if (sent.every(([, value]) => value === null)) return undefined;
  return schemaOf(contract).safeParse(Object.fromEntries(sent)).data;
}

const schemaOf = onceForEach(rowSchema);

function answersOf({ contract, predict }: Predictor, rows: readonly FeatureRow[]): number[] {
  if (rows.length === 0) return [];
  return Array.from(predict(Float64Array.from(toFeatureRows(contract, rows).features), rows.length));
}

function notesOn(stored: number, compared: number): string[] {
  if (stored === 0) return ['No prediction is stored yet.'];
  const notes = [];
  if (stored < NEWEST_ROWS) notes.push(`${stored} predictions are stored; the newest ${NEWEST_ROWS} are compared.`);
  const others = stored - compared;
  if (others > 0) notes.push(`${others} of the newest rows are left out: one of the versions does not take them.`);
  return notes;
}
