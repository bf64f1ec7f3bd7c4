/** What a query of stored features selects, and what becomes of its rows. */
import type { Column } from '../../contract/contract.ts';
import type { Value } from '../../contract/values.ts';
import { escapeIdentifier, type Queryable } from '../../database/pool.ts';

export interface StoredValues {
  /** For a select of `predictions`; those columns alone that the table has. */
  expressions: string[];
  /** The values of all columns by their names: null where the row, or the table, has none. */
  of(row: Record<string, unknown>): Record<string, Value>;
}

export async function storedValues(client: Queryable, columns: readonly Column[]): Promise<StoredValues> {
  const { rows: found } = await client.query(
    "select attname from pg_attribute where attrelid = 'predictions'::regclass and attnum > 0 and not attisdropped",
  );
  const there = new Set(found.map(({ attname }) => attname));
  const wanted = new Map(columns.filter(({ name }) => there.has(name)).map((column) => [column.name, column]));
  return {
    // A bigint comes as text otherwise; those of features are at most 2^53.
    expressions: [...wanted.values()].map(({ name, type }) => {
      const quoted = escapeIdentifier(name);
      return `${quoted}::${type === 'bigint' ? 'double precision' : type} as ${quoted}`;
    }),
    of: (row) => Object.fromEntries(columns.map(({ name }) => [name, (row[name] ?? null) as Value])),
  };
}
