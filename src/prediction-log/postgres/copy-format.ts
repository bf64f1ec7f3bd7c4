/**
 * Predictions as Postgres reads them fastest: each record is one tuple of the binary COPY format. As text they would cost
 * both sides six times as much, most of it for writing numbers digit by digit and reading them again.
 *
 *     header            "PGCOPY\n\377\r\n\0", flags (int32), length of an extension (int32)
 *     a tuple a record  number of fields (int16), then for each its length (int32) and its value, as its type lies in memory
 *     trailer           -1 (int16)
 *
 * All numbers are big-endian. https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"
 */
import type { Column } from '../../feature-schema.ts';
import { type BatchBlocks, FLOAT64_BYTES, ID_BYTES } from '../prediction-batch.ts';

export const COPY_HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
export const COPY_TRAILER = Buffer.from([0xff, 0xff]);

const INT16_BYTES = 2;
const INT32_BYTES = 4;
const INT64_BYTES = 8;
const TWO_TO_32 = 2 ** 32;
/** Postgres counts from the beginning of 2000, in microseconds. */
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);

/** The columns of `predictions` in the order of a record. */
export function recordColumns(features: readonly Column[]): Column[] {
  return [
    { name: 'id', type: 'uuid' },
    ...features,
    { name: 'prediction', type: 'double precision' },
    { name: 'pipeline_version', type: 'text' },
    { name: 'created_at', type: 'timestamp with time zone' },
  ];
}

/**
 * The tuples of batches, without anything between them. `columns` are those of `recordColumns`. They are written into
 * `scratch` where it has room: megabytes of new memory for each call took a tenth of a large batch's time.
 */
export function encodeRecords(batches: readonly BatchBlocks[], columns: readonly Column[], scratch?: Buffer): Buffer {
  const size = batches.reduce((sum, batch) => sum + batch.rows * recordBytes(batch), 0);
  const records = scratch && size <= scratch.length ? scratch.subarray(0, size) : Buffer.allocUnsafe(size);
  const isBigint = columns.slice(1, -3).map(({ type }) => type === 'bigint');
  let at = 0;
  for (const batch of batches) at = encodeBatch(batch, isBigint, records, at);
  return records;
}

function recordBytes({ width, pipelineVersion }: BatchBlocks): number {
  const lengths = (width + 4) * INT32_BYTES;
  return INT16_BYTES + lengths + ID_BYTES + (width + 2) * INT64_BYTES + Buffer.byteLength(pipelineVersion);
}

/** Returns where the records end. Features of bigint columns are whole numbers up to 2^53. */
function encodeBatch(batch: BatchBlocks, isBigint: readonly boolean[], records: Buffer, start: number): number {
  const { ids, features, predictions, rows, width } = batch;
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  const version = Buffer.from(batch.pipelineVersion, 'utf8');
  const createdAt = (batch.createdAt - POSTGRES_EPOCH_MS) * 1000;
  let idAt = batch.idsAt;
  let featureAt = batch.featuresAt;
  let predictionAt = batch.predictionsAt;
  let at = start;
  for (let row = 0; row < rows; row++) {
    view.setInt16(at, width + 4);
    view.setInt32(at + INT16_BYTES, ID_BYTES);
    at += INT16_BYTES + INT32_BYTES;
    for (const end = idAt + ID_BYTES; idAt < end; ) records[at++] = ids[idAt++]!;
    for (let column = 0; column < width; column++) {
      const value = features.getFloat64(featureAt, true);
      view.setInt32(at, INT64_BYTES);
      if (isBigint[column]) setInt64(view, at + INT32_BYTES, value);
      else view.setFloat64(at + INT32_BYTES, value);
      featureAt += FLOAT64_BYTES;
      at += INT32_BYTES + INT64_BYTES;
    }
    view.setInt32(at, INT64_BYTES);
    view.setFloat64(at + INT32_BYTES, predictions.getFloat64(predictionAt, true));
    predictionAt += FLOAT64_BYTES;
    at += INT32_BYTES + INT64_BYTES;
    view.setInt32(at, version.length);
    at += INT32_BYTES;
    for (let i = 0; i < version.length; ) records[at++] = version[i++]!;
    view.setInt32(at, INT64_BYTES);
    setInt64(view, at + INT32_BYTES, createdAt);
    at += INT32_BYTES + INT64_BYTES;
  }
  return at;
}

/** `value` is a whole number; BigInt would make an object of each. */
function setInt64(view: DataView, at: number, value: number): void {
  view.setInt32(at, Math.floor(value / TWO_TO_32));
  view.setUint32(at + INT32_BYTES, value >>> 0);
}

/** Takes records apart, as views. They have to be intact. */
export function splitRecords(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += records.at(-1)!.length) {
    let end = start + INT16_BYTES;
    for (let field = bytes.readInt16BE(start); field > 0; field--) end += INT32_BYTES + bytes.readInt32BE(end);
    records.push(bytes.subarray(start, end));
  }
  return records;
}

/** A record by the names of its columns, for people to read. */
export function describeRecord(columns: readonly Column[], record: Buffer): Record<string, string | number> {
  let at = INT16_BYTES;
  const fields = columns.map(({ name, type }) => {
    const start = at + INT32_BYTES;
    at = start + record.readInt32BE(at);
    return [name, describeField(type, record.subarray(start, at))] as const;
  });
  return Object.fromEntries(fields);
}

function describeField(type: Column['type'], field: Buffer): string | number {
  switch (type) {
    case 'uuid':
      return field.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    case 'double precision':
      return field.readDoubleBE();
    case 'bigint':
      return Number(field.readBigInt64BE());
    case 'text':
      return field.toString('utf8');
    case 'timestamp with time zone':
      return new Date(Number(field.readBigInt64BE()) / 1000 + POSTGRES_EPOCH_MS).toISOString();
  }
}
