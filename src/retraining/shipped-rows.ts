/** Which rows a scheduled training has: those that ship, and these are of one contract. */

import { compareContracts } from '../contract/compare.ts';
import type { Contract } from '../contract/contract.ts';
import type { Queryable } from '../database/pool.ts';
import { RidgelineError } from '../errors.ts';
import { promotedContract } from '../registry/stored-declaration.ts';

/** Throws `training_data` where what is served takes other rows than those that ship. */
export async function checkShippedRowsFit(database: Queryable, shipped: Contract): Promise<void> {
  const contract = await promotedContract(database, shipped);
  const { breaking, compatible } = compareContracts(contract, shipped);
  if (breaking.length === 0 && compatible.length === 0) return;
  throw new RidgelineError('training_data', {
    detail:
      `The served version takes rows of ${contract.declaration.name}; the rows that ship are of ` +
      `${shipped.declaration.name}, and others are not labelled. Train by hand: npm run train -- --data FILE.csv.`,
  });
}
