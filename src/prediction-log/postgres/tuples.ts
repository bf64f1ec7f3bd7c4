/** The tuples of the binary COPY format (copy-format.ts), read and taken apart. They have to be intact. */
import type { Column } from '../../contract/contract.ts';

export const INT16_BYTES = 2;
export const INT32_BYTES = 4;
export const INT64_BYTES = 8;
/** Of a field that is null. */
export const NULL_LENGTH = -1;
/** Postgres counts from the beginning of 2000, in microseconds. */
export const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);

/**
 * An array's head: dimensions, whether there are nulls (which is not looked at), the type of its elements, how many they are,
 * the first index.
 */
const ARRAY_HEAD_BYTES = 5 * INT32_BYTES;
/** https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat */
const TYPE_OIDS: Record<Column['type'], number> = {
  boolean: 16,
  bigint: 20,
  text: 25,
  'double precision': 701,
  'timestamp with time zone': 1184,
  uuid: 2950,
};

/** Where the record that begins at `start` ends. */
function endOfRecord(records: Buffer, start: number): number {
  let end = start + INT16_BYTES;
  for (let field = records.readInt16BE(start); field > 0; field--) end = endOfField(records, end);
  return end;
}

/** Where the field whose length is at `start` ends. */
function endOfField(records: Buffer, start: number): number {
  return start + INT32_BYTES + Math.max(0, records.readInt32BE(start));
}

/** The first `count` records, or all when there are fewer; a view. */
export function firstRecords(records: Buffer, count: number): Buffer {
  let end = 0;
  for (let taken = 0; taken < count && end < records.length; taken++) end = endOfRecord(records, end);
  return records.subarray(0, end);
}

export function splitRecords(records: Buffer): Buffer[] {
  const split: Buffer[] = [];
  for (let start = 0, end = 0; start < records.length; start = end) {
    end = endOfRecord(records, start);
    split.push(records.subarray(start, end));
  }
  return split;
}

/** The values of a record, as views of it. */
export function fieldsOf(record: Buffer): (Buffer | null)[] {
  let at = INT16_BYTES;
  return Array.from({ length: record.readInt16BE(0) }, () => {
    const start = at;
    at = endOfField(record, start);
    return record.readInt32BE(start) === NULL_LENGTH ? null : record.subarray(start + INT32_BYTES, at);
  });
}

/**
 * Records as one array a column, in the binary form of parameters. An element is written as a field is, its length and
 * then its value, so that every bit of it arrives.
 */
export function arraysOf(columns: readonly Column[], records: Buffer): Buffer[] {
  const rows = splitRecords(records);
  const places = rows.map(() => INT16_BYTES);
  return columns.map(({ type }) => {
    const fields = rows.map((row, i) => {
      const start = places[i]!;
      places[i] = endOfField(row, start);
      return row.subarray(start, places[i]);
    });
    const head = Buffer.alloc(ARRAY_HEAD_BYTES);
    for (const [i, value] of [1, 0, TYPE_OIDS[type], rows.length, 1].entries())
      head.writeInt32BE(value, i * INT32_BYTES);
    return Buffer.concat([head, ...fields]);
  });
}
