/** The newest stored rows of features, on which versions can be run that did not answer them. */
import type { Column } from '../../contract/contract.ts';
import type { Value } from '../../contract/values.ts';
import type { Queryable } from '../../database/pool.ts';
import { storedValues } from './stored-values.ts';

/** The values of these columns by their names, the newest row first; null where a row, or the table, has none. */
export async function newestRows(
  client: Queryable,
  columns: readonly Column[],
  limit: number,
): Promise<Record<string, Value>[]> {
  const values = await storedValues(client, columns);
  // Ids begin with the time, and there is an index on them.
  const { rows } = await client.query(
    `select ${['id', ...values.expressions].join(', ')} from predictions order by id desc limit $1`,
    [limit],
  );
  return rows.map(values.of);
}
