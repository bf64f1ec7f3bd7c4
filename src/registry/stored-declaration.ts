/** Declarations as versions carry them: in a column of `ml_pipeline`, and in the manifest beside the artefact. */

import { type Contract, createContract } from '../contract/contract.ts';
import { parseDeclaration } from '../contract/declaration.ts';
import type { Queryable } from '../database/pool.ts';
import { RidgelineError } from '../errors.ts';
import { promotedVersions } from './promotions.ts';

/** How much is told of what is wrong with one, which may be much. */
const TOLD_CHARACTERS = 500;

/**
 * The contract of a version, given its declaration as it is stored: null where it was published before declarations were
 * stored, which is the shipped one. The same declaration as one of `known` gives that contract. Throws `bad_artefact` for
 * what this version of Ridgeline cannot serve, such as keys of a later one.
 */
export function contractOfStored(stored: unknown, shipped: Contract, known: readonly Contract[] = []): Contract {
  if (stored === null || stored === undefined) return shipped;
  const contract = parseStored(stored);
  return [shipped, ...known].find(({ text }) => text === contract.text) ?? contract;
}

/** The contract of the version that was promoted last; the shipped one before the first. Rejects as `contractOfStored`. */
export async function promotedContract(client: Queryable, shipped: Contract): Promise<Contract> {
  const [newest] = await promotedVersions(client);
  return contractOfStored(newest?.declaration, shipped);
}

function parseStored(stored: unknown): Contract {
  try {
    return createContract(parseDeclaration(stored));
  } catch (error) {
    if (!(error instanceof RidgelineError)) throw error;
    const told = error.message.slice(0, TOLD_CHARACTERS);
    throw new RidgelineError('bad_artefact', { detail: `Its declaration cannot be served here. ${told}` });
  }
}
