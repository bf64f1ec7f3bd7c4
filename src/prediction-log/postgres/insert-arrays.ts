/**
 * Inserts records as arrays of their columns' types, slice by slice, and checks them: every record is there with the values
 * that were answered, or all are refused, and the caller finds out which record it is.
 *
 *     a trigger has left a record out in silence    fewer rows than records, and some are not there
 *     a column's type cannot hold a value as it is  converted to it and back it is another one: 0.4 in an integer
 *
 * What a trigger writes in the place of a value is its own business.
 */
import type { Column } from '../../contract/contract.ts';
import type { PoolClient } from '../../database/pool.ts';
import { contentRefused } from './failures.ts';
import { arraysOf, firstRecords } from './tuples.ts';

/** What of `predictions` is not as it was made. */
export interface Table {
  /** The types of columns that have another one than ours, as Postgres writes it, by name. */
  altered: ReadonlyMap<string, string>;
  /** Whether policies may keep us from seeing what is there. */
  hidesRows: boolean;
}

/** 500 rows of a dozen features: no more, as nobody is answered while the arrays of a slice are made. */
const SLICE_VALUES = 8_500;

/** Adds what is not there yet, within the transaction that is open. */
export async function insertArrays(
  client: PoolClient,
  table: Table,
  columns: readonly Column[],
  records: Buffer,
): Promise<void> {
  const arrays = columns.map(({ type }, i) => `$${i + 1}::${type}[]`);
  const text = `insert into predictions (${namesOf(client, columns)}) select * from unnest(${arrays.join()})
    on conflict (id, created_at) do nothing`;
  const sliceRows = Math.ceil(SLICE_VALUES / columns.length);
  let rest = records;
  do {
    const slice = firstRecords(rest, sliceRows);
    const values = arraysOf(columns, slice);
    const { rowCount } = await client.query(text, values);
    if (rowCount !== rowsOf(values) && !table.hidesRows) await refuseWhatIsLeftOut(client, table, columns, values);
    for (const [i, column] of columns.entries()) {
      const stored = table.altered.get(column.name);
      if (stored !== undefined) await refuseWhatIsAnother(client, column, stored, values[i]!);
    }
    rest = rest.subarray(slice.length);
  } while (rest.length > 0);
}

async function refuseWhatIsLeftOut(
  client: PoolClient,
  { altered }: Table,
  columns: readonly Column[],
  values: readonly Buffer[],
): Promise<void> {
  const keys = [columns[0]!, columns.at(-1)!];
  const [id, createdAt] = keys.map(({ name, type }) => altered.get(name) ?? type);
  const { rows } = await client.query(
    `select count(*)::integer as missing from unnest($1::${keys[0]!.type}[], $2::${keys[1]!.type}[]) as given (id, created_at)
     where not exists (select from predictions as stored
       where stored.id = given.id::${id} and stored.created_at = given.created_at::${createdAt})`,
    [values[0], values.at(-1)],
  );
  if (rows[0].missing > 0) throw contentRefused('a trigger of predictions leaves it out');
}

async function refuseWhatIsAnother(client: PoolClient, { name, type }: Column, stored: string, values: Buffer) {
  const { rows } = await client.query(
    `select value::text from unnest($1::${type}[]) as value where value is distinct from value::${stored}::${type} limit 1`,
    [values],
  );
  if (rows.length === 0) return;
  throw contentRefused(`the column "${name}" of predictions is ${stored}, which cannot hold ${rows[0].value} as it is`);
}

export function namesOf(client: PoolClient, columns: readonly Column[]): string {
  return columns.map(({ name }) => client.escapeIdentifier(name)).join(', ');
}

/** How many elements an array has (tuples.ts). */
function rowsOf([first]: readonly Buffer[]): number {
  return first!.readInt32BE(3 * Int32Array.BYTES_PER_ELEMENT);
}
