/** Rows as they are stored, read again as callers would have sent them. */
import { type Contract, onceForEach } from './contract.ts';
import { rowSchema } from './row-schema.ts';
import type { FeatureRow } from './rows.ts';
import type { Value } from './values.ts';

/**
 * A stored row, by its columns, as a caller of the contract would send it; undefined where such a request would be refused, and
 * where it has none of its values, as rows of other contracts have.
 */
export function rowUnder(contract: Contract, stored: Readonly<Record<string, Value>>): FeatureRow | undefined {
  const sent = contract.features.flatMap(({ name, column, nullable, optional }) => {
    const value = stored[column] ?? null;
    return value === null && optional && !nullable ? [] : [[name, value] as const];
  });
  if (sent.every(([, value]) => value === null)) return undefined;
  return schemaOf(contract).safeParse(Object.fromEntries(sent)).data;
}

const schemaOf = onceForEach(rowSchema);
