/** What JSON has to be for a row of a contract: the general way, which decides what is right. */
import * as z from 'zod';
import type { Contract } from './contract.ts';
import type { Feature } from './declaration.ts';
import type { FeatureRow } from './rows.ts';

/** The schema of one row: exactly the declared keys. */
export function rowSchema({ features }: Contract): z.ZodType<FeatureRow> {
  return z.strictObject(
    Object.fromEntries(
      features.map((feature) => [feature.name, valueSchema(feature).meta({ description: describe(feature) })]),
    ),
  ) as z.ZodType<FeatureRow>;
}

/** The message is said of a value of another type; zod would first ask for a number. */
function valueSchema({ dtype }: Feature): z.ZodType {
  return dtype === 'int64' ? z.int('a whole number') : z.number('a finite number');
}

function describe({ description, unit }: Feature): string {
  return `${description} (${unit})`;
}
