/** The newest stored rows of features, on which versions can be run that did not answer them. */
import type { Column } from '../../contract/contract.ts';
import type { Value } from '../../contract/values.ts';
import { escapeIdentifier, type Queryable } from '../../database/pool.ts';

/** The values of these columns by their names, the newest row first; null where a row, or the table, has none. */
export async function newestRows(
  client: Queryable,
  columns: readonly Column[],
  limit: number,
): Promise<Record<string, Value>[]> {
  const { rows: found } = await client.query(
    "select attname from pg_attribute where attrelid = 'predictions'::regclass and attnum > 0 and not attisdropped",
  );
  const there = new Set(found.map(({ attname }) => attname));
  const wanted = new Map(columns.filter(({ name }) => there.has(name)).map((column) => [column.name, column]));
  // A bigint comes as text otherwise; those of features are at most 2^53.
  const values = [...wanted.values()].map(({ name, type }) => {
    const quoted = escapeIdentifier(name);
    return `${quoted}::${type === 'bigint' ? 'double precision' : type} as ${quoted}`;
  });
  // Ids begin with the time, and there is an index on them.
  const { rows } = await client.query(
    `select ${['id', ...values].join(', ')} from predictions order by id desc limit $1`,
    [limit],
  );
  return rows.map((row) => Object.fromEntries(columns.map(({ name }) => [name, (row[name] ?? null) as Value])));
}
