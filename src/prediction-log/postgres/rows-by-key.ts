/** Stored rows of features by their keys, a thousand at a time, whatever the size of the table. */
import type { Column } from '../../contract/contract.ts';
import type { Value } from '../../contract/values.ts';
import type { Queryable } from '../../database/pool.ts';
import { storedValues } from './stored-values.ts';

export interface RowKey {
  id: string;
  /** The time in the id. */
  createdAt: Date;
}

/** In one statement. */
const KEYS_AT_ONCE = 1_000;

/** The values of these columns by their names, in the order of the keys; undefined where there is no such row. */
export async function* rowsByKey(
  client: Queryable,
  columns: readonly Column[],
  keys: readonly RowKey[],
): AsyncGenerator<Record<string, Value> | undefined> {
  const values = await storedValues(client, columns);
  for (let start = 0; start < keys.length; start += KEYS_AT_ONCE) {
    const some = keys.slice(start, start + KEYS_AT_ONCE);
    // Looked up one by one, each in the partition of its time: joined as a whole, the planner would read all of a table that it
    // takes for small, and of none is it sure.
    const { rows } = await client.query(
      `select found.* from unnest($1::uuid[], $2::timestamptz[]) with ordinality as key (id, created_at, place)
       left join lateral (
         select ${['true as is_there', ...values.expressions].join(', ')} from predictions
         where predictions.id = key.id and predictions.created_at = key.created_at limit 1
       ) as found on true order by place`,
      [some.map(({ id }) => id), some.map(({ createdAt }) => createdAt)],
    );
    for (const row of rows) yield row.is_there ? values.of(row) : undefined;
  }
}
