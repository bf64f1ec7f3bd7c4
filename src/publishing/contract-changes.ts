/** What a promotion changes for the callers of what is served now. */

import { type ContractChanges, compareContracts } from '../contract/compare.ts';
import type { Contract } from '../contract/contract.ts';
import type { Queryable } from '../database/pool.ts';
import { RidgelineError, reasonOf } from '../errors.ts';
import { type PromotedVersion, promotedVersions } from '../registry/promotions.ts';
import { contractOfStored } from '../registry/stored-declaration.ts';

export interface ContractChange {
  /** Of the pipeline that is to be served. */
  contract: Contract;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
}

/** So many sentences fit into an error that people read. */
const MOST_TOLD = 20;

/**
 * From what is served now, and the contracts of that as far as they are known here. Nobody uses what a start has published by
 * itself, so that nothing breaks then.
 */
export async function changesForCallers(
  client: Queryable,
  change: ContractChange,
): Promise<ContractChanges & { served: Contract[] }> {
  const all = (await promotedVersions(client)).map((version) => changesFrom(version, change));
  // The same change from two versions is told once.
  const merged = (key: keyof ContractChanges) => [...new Set(all.flatMap((changes) => changes[key]))];
  const served = all.flatMap(({ contract }) => contract ?? []);
  return { breaking: merged('breaking'), compatible: merged('compatible'), served };
}

function changesFrom(
  version: PromotedVersion,
  { contract: next, shipped }: ContractChange,
): ContractChanges & { contract?: Contract } {
  try {
    const contract = contractOfStored(version.declaration, shipped);
    const { breaking, compatible } = compareContracts(contract, next);
    if (version.isFromStart) return { breaking: [], compatible: [...breaking, ...compatible], contract };
    return { breaking, compatible, contract };
  } catch (error) {
    const unknown = `What ${version.pipelineVersion} takes, which is served, is not known here: ${reasonOf(error)}`;
    return { breaking: [unknown], compatible: [] };
  }
}

/** Throws `breaking_change` where requests of today would be refused, or answered with something else. */
export function refuseBreaking({ breaking }: Pick<ContractChanges, 'breaking'>): void {
  if (breaking.length === 0) return;
  const more = breaking.length - MOST_TOLD;
  const told = breaking.slice(0, MOST_TOLD).join(' ');
  const rest = `${more > 0 ? ` And ${more} more.` : ''} Nothing is changed; --breaking, or "breaking": true, does it all the same.`;
  throw new RidgelineError('breaking_change', { detail: told + rest });
}
