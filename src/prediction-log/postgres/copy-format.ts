/**
 * Predictions as Postgres reads them fastest: each record is one tuple of the binary COPY format. Text would cost both
 * sides several times as much (decision 0007).
 *
 *     header            "PGCOPY\n\377\r\n\0", flags (int32), length of an extension (int32)
 *     a tuple a record  number of fields (int16), then for each its length (int32) and its value, as its type lies in memory
 *     trailer           -1 (int16)
 *
 * All numbers are big-endian. https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"
 */
import type { Column } from '../../contract/contract.ts';
import { type BatchBlocks, FLOAT64_BYTES, ID_BYTES } from '../prediction-batch.ts';
import { areOfRecord, featureColumns } from '../record-columns.ts';
import { describeRow } from './describe.ts';
import { INT16_BYTES, INT32_BYTES, INT64_BYTES, POSTGRES_EPOCH_MS } from './tuples.ts';

export const COPY_HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
export const COPY_TRAILER = Buffer.from([0xff, 0xff]);

const TWO_TO_32 = 2 ** 32;
/** The last moment that JavaScript's Date knows; Postgres knows later ones. */
const LATEST_MS = 8.64e15;

/** A row that no record can hold as it is, by its columns, and why. */
export interface UnfitRow {
  record: Record<string, unknown>;
  reason: string;
}

/**
 * The tuples of batches, without anything between them. `columns` are those of `recordColumns`. They are written into
 * `scratch`, a buffer that callers reuse, if it is large enough. A row that a column cannot hold is left out and told to
 * `unfit`; without `unfit` it throws, as what was validated always fits.
 */
export function encodeRecords(
  batches: readonly BatchBlocks[],
  columns: readonly Column[],
  scratch?: Buffer,
  unfit: (row: UnfitRow) => void = refuse,
): Buffer {
  const size = batches.reduce((sum, batch) => sum + batch.rows * recordBytes(batch), 0);
  const records = scratch && size <= scratch.length ? scratch.subarray(0, size) : Buffer.allocUnsafe(size);
  const isBigint = featureColumns(columns).map(({ type }) => type === 'bigint');
  const areOfOurs = areOfRecord(columns);
  let at = 0;
  for (const batch of batches) {
    const leaveOut = (row: number, reason: string) => unfit({ record: describeRow(batch, row, columns), reason });
    const reason = areOfOurs ? reasonAgainst(batch, isBigint.length) : 'its columns are not those of a record';
    if (reason) for (let row = 0; row < batch.rows; row++) leaveOut(row, reason);
    else at = encodeBatch(batch, isBigint, records, at, leaveOut);
  }
  return records.subarray(0, at);
}

function refuse({ reason }: UnfitRow): never {
  throw new RangeError(reason);
}

/** Why no row of the batch can be a record, if so. */
function reasonAgainst({ width, createdAt }: BatchBlocks, expected: number): string | undefined {
  if (width !== expected) return `it has ${width} features where its columns are ${expected}`;
  return Math.abs(createdAt) <= LATEST_MS ? undefined : `${createdAt} is no time`;
}

function recordBytes({ width, pipelineVersion }: BatchBlocks): number {
  const lengths = (width + 4) * INT32_BYTES;
  return INT16_BYTES + lengths + ID_BYTES + (width + 2) * INT64_BYTES + Buffer.byteLength(pipelineVersion);
}

/** Returns where the records end. */
function encodeBatch(
  batch: BatchBlocks,
  isBigint: readonly boolean[],
  records: Buffer,
  start: number,
  unfit: (row: number, reason: string) => void,
): number {
  const { ids, features, predictions, rows, width } = batch;
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  const version = Buffer.from(batch.pipelineVersion, 'utf8');
  const createdAt = Math.round((batch.createdAt - POSTGRES_EPOCH_MS) * 1000);
  let at = start;
  for (let row = 0; row < rows; row++) {
    const recordAt = at;
    let idAt = batch.idsAt + row * ID_BYTES;
    let featureAt = batch.featuresAt + row * width * FLOAT64_BYTES;
    let misfit: number | undefined;
    view.setInt16(at, width + 4);
    view.setInt32(at + INT16_BYTES, ID_BYTES);
    at += INT16_BYTES + INT32_BYTES;
    for (const end = idAt + ID_BYTES; idAt < end; ) records[at++] = ids[idAt++]!;
    for (let column = 0; column < width; column++) {
      const value = features.getFloat64(featureAt, true);
      view.setInt32(at, INT64_BYTES);
      if (!isBigint[column]) view.setFloat64(at + INT32_BYTES, value);
      else if (isWhole(value)) setInt64(view, at + INT32_BYTES, value);
      else misfit = value;
      featureAt += FLOAT64_BYTES;
      at += INT32_BYTES + INT64_BYTES;
    }
    if (misfit !== undefined) {
      unfit(row, `${misfit} is no whole number up to 2^53, as its column holds`);
      at = recordAt;
      continue;
    }
    view.setInt32(at, INT64_BYTES);
    view.setFloat64(at + INT32_BYTES, predictions.getFloat64(batch.predictionsAt + row * FLOAT64_BYTES, true));
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

/** Beyond 2^53 a double may stand for its neighbours too. */
function isWhole(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) <= 2 ** 53;
}

/** `value` is a whole number; setBigInt64 would allocate a BigInt for each. */
function setInt64(view: DataView, at: number, value: number): void {
  view.setInt32(at, Math.floor(value / TWO_TO_32));
  view.setUint32(at + INT32_BYTES, value >>> 0);
}
