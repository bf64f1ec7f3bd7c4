/** Some stored rows of a time: a part by the last bytes of the ids, which are random and the same on every host. */
import type { Column } from '../../contract/contract.ts';
import type { Value } from '../../contract/values.ts';
import type { Queryable } from '../../database/pool.ts';
import { storedValues } from './stored-values.ts';

export interface Sample {
  from: Date;
  until: Date;
  /** About so many, and no more. */
  rows: number;
}

/** Of the last two bytes of an id. */
const PARTS = 65_536;

/** The values of these columns by their names; null where a row, or the table, has none. */
export async function sampledRows(
  client: Queryable,
  columns: readonly Column[],
  { from, until, rows: wanted }: Sample,
): Promise<Record<string, Value>[]> {
  const values = await storedValues(client, columns);
  const { rows: counted } = await client.query(
    'select count(*)::float8 as rows from predictions where created_at >= $1 and created_at < $2',
    [from, until],
  );
  const share = Math.min(1, wanted / Math.max(1, counted[0]!.rows as number));
  const { rows } = await client.query(
    `select ${['id', ...values.expressions].join(', ')} from predictions
     where created_at >= $1 and created_at < $2
       and get_byte(uuid_send(id), 14) * 256 + get_byte(uuid_send(id), 15) < $3
     order by get_byte(uuid_send(id), 14) * 256 + get_byte(uuid_send(id), 15), id limit $4`,
    [from, until, Math.ceil(share * PARTS), wanted],
  );
  return rows.map(values.of);
}
