/** What monitoring has to know of a version: what its rows hold, what the training data looked like, how wrong it was in training. */
import type { Contract } from '../contract/contract.ts';
import { type Reference, referenceOf } from '../contract/reference-profile.ts';
import type { Queryable } from '../database/pool.ts';
import { RidgelineError } from '../errors.ts';
import { contractOfStored } from './stored-declaration.ts';

export interface MonitoredVersion {
  pipelineVersion: string;
  /** Undefined where its declaration is not one of this version of Ridgeline: then nothing is known of its features. */
  contract: Contract | undefined;
  /** By feature; those of which the profile says too little are not there. */
  references: ReadonlyMap<string, Reference>;
  /** Of its predictions. */
  predictions: Reference | undefined;
  /** As they are stored. */
  residuals: unknown;
  explanation: unknown;
  trainedThrough: Date | null;
}

/** Undefined where there is no such version. */
export async function readMonitoredVersion(
  client: Queryable,
  pipelineVersion: string,
  shipped: Contract,
): Promise<MonitoredVersion | undefined> {
  const { rows } = await client.query(
    `select declaration, feature_profile, prediction_profile, residuals, explanation, trained_through
     from ml_pipeline where pipeline_version = $1`,
    [pipelineVersion],
  );
  const [row] = rows;
  if (!row) return undefined;
  const profiles = Object.entries((row.feature_profile ?? {}) as object);
  return {
    pipelineVersion,
    contract: contractOrNothing(row.declaration, shipped),
    references: new Map(profiles.flatMap(([name, profile]) => referenceAt(name, profile))),
    predictions: referenceOf(row.prediction_profile),
    residuals: row.residuals,
    explanation: row.explanation,
    trainedThrough: row.trained_through as Date | null,
  };
}

function referenceAt(name: string, profile: unknown): [string, Reference][] {
  const reference = referenceOf(profile);
  return reference ? [[name, reference]] : [];
}

function contractOrNothing(declaration: unknown, shipped: Contract): Contract | undefined {
  try {
    return contractOfStored(declaration, shipped);
  } catch (error) {
    if (error instanceof RidgelineError) return undefined;
    throw error;
  }
}
