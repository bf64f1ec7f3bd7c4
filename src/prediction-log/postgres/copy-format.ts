/**
 * Predictions as Postgres reads them fastest: each record is one tuple of the binary COPY format. Text would cost both
 * sides several times as much (decision 0007).
 *
 *     header            "PGCOPY\n\377\r\n\0", flags (int32), length of an extension (int32)
 *     a tuple a record  number of fields (int16), then for each its length (int32) and its value, as its type lies in memory;
 *                       null has the length -1 and no value
 *     trailer           -1 (int16)
 *
 * All numbers are big-endian. https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"
 */
import type { Column } from '../../contract/contract.ts';
import { type BatchBlocks, ID_BYTES } from '../prediction-batch.ts';
import { areOfRecord, featureColumns } from '../record-columns.ts';
import { describeRow } from './describe.ts';
import { encodeNumbers } from './encode-numbers.ts';
import { encodeValues, textBytes } from './encode-values.ts';
import { INT16_BYTES, INT32_BYTES, INT64_BYTES } from './tuples.ts';

export const COPY_HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
export const COPY_TRAILER = Buffer.from([0xff, 0xff]);

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
  const areKnown = areOfRecord(columns);
  const types = featureColumns(columns).map(({ type }) => type);
  const areNumbers = types.every((type) => type === 'double precision' || type === 'bigint');
  const isBigint = types.map((type) => type === 'bigint');
  const size = batches.reduce((sum, batch) => sum + mostBytes(batch, types), 0);
  const records = scratch && size <= scratch.length ? scratch.subarray(0, size) : Buffer.allocUnsafe(size);
  let at = 0;
  for (const batch of batches) {
    const leaveOut = (row: number, reason: string) => unfit({ record: describeRow(batch, row, columns), reason });
    const reason = areKnown ? reasonAgainst(batch, types.length) : 'its columns are not known: the header is damaged';
    if (reason) for (let row = 0; row < batch.rows; row++) leaveOut(row, reason);
    else if (areNumbers && !batch.textOf) at = encodeNumbers(batch, isBigint, records, at, leaveOut);
    else at = encodeValues(batch, types, records, at, leaveOut);
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

/** What the records of a batch may take: all of it when they are numbers. */
function mostBytes(batch: BatchBlocks, types: readonly Column['type'][]): number {
  const { rows, width, pipelineVersion } = batch;
  const lengths = (width + 4) * INT32_BYTES;
  const bytes = INT16_BYTES + lengths + ID_BYTES + (width + 2) * INT64_BYTES + Buffer.byteLength(pipelineVersion);
  return rows * bytes + textBytes(batch, types);
}
