/**
 * A batch as the payload of a frame: what holds for all rows, then the columns in blocks, as they lie in memory. All
 * numbers are little-endian.
 *
 *     0         8      12      16        20
 *     +---------+------+-------+---------+-----------+----------------+-------------+---------+
 *     | created | rows | width | version | ids       | features       | predictions | version |
 *     | float64 | u32  | u32   | bytes   | 16 a row  | 8 width a row  | 8 a row     | UTF-8   |
 *     +---------+------+-------+---------+-----------+----------------+-------------+---------+
 *
 * `created` is in milliseconds since 1970. The next version of this service reads what this one has left behind, so the
 * layout stays; another one is another kind of frame (frames.ts).
 */
import { type BatchBlocks, FLOAT64_BYTES, ID_BYTES, type PredictionBatch, widthOf } from '../prediction-batch.ts';

const ROWS_AT = 8;
const WIDTH_AT = 12;
const VERSION_BYTES_AT = 16;
const IDS_AT = 20;
/** What a Date can hold. */
const LONGEST_TIME_MS = 8.64e15;

/** Bytes that `rows` rows of the batch take when packed. */
export function packedSize(batch: PredictionBatch, rows: number): number {
  return IDS_AT + rows * rowSize(widthOf(batch)) + Buffer.byteLength(batch.pipelineVersion);
}

export function rowSize(width: number): number {
  return ID_BYTES + (width + 1) * FLOAT64_BYTES;
}

/** Writes the rows from `start` to before `after`. */
export function packInto(bytes: Buffer, at: number, batch: PredictionBatch, start: number, after: number): void {
  const width = widthOf(batch);
  bytes.writeDoubleLE(batch.createdAt.getTime(), at);
  bytes.writeUInt32LE(after - start, at + ROWS_AT);
  bytes.writeUInt32LE(width, at + WIDTH_AT);
  bytes.writeUInt32LE(Buffer.byteLength(batch.pipelineVersion), at + VERSION_BYTES_AT);
  let end = at + IDS_AT;
  const put = (block: Uint8Array | Float64Array, first: number, last: number) => {
    const size = block.BYTES_PER_ELEMENT;
    bytes.set(new Uint8Array(block.buffer, block.byteOffset + first * size, (last - first) * size), end);
    end += (last - first) * size;
  };
  put(batch.ids, start * ID_BYTES, after * ID_BYTES);
  put(batch.features, start * width, after * width);
  put(batch.predictions, start, after);
  bytes.write(batch.pipelineVersion, end);
}

/** Where the features of so many rows begin in what was packed at `start`. */
export function featuresAt(start: number, rows: number): number {
  return start + IDS_AT + rows * ID_BYTES;
}

/** The rows of what was packed at `start`. */
export function rowsAt(bytes: Buffer, start: number): number {
  return bytes.readUInt32LE(start + ROWS_AT);
}

/**
 * Where what was packed at `start` ends, by its lengths; -1 when `packInto` cannot have written it: it has no rows, ends
 * beyond `limit`, or its time is none.
 */
export function endOfPacked(bytes: Buffer, start: number, limit: number): number {
  if (limit - start < IDS_AT) return -1;
  const rows = rowsAt(bytes, start);
  const size =
    IDS_AT + rows * rowSize(bytes.readUInt32LE(start + WIDTH_AT)) + bytes.readUInt32LE(start + VERSION_BYTES_AT);
  const createdAt = bytes.readDoubleLE(start);
  const isTime = Number.isInteger(createdAt) && Math.abs(createdAt) <= LONGEST_TIME_MS;
  return rows > 0 && start + size <= limit && isTime ? start + size : -1;
}

/** The rows of what lies between `start` and `end`, 0 when it is not exactly what `packInto` writes. */
export function rowsOf(bytes: Buffer, start: number, end: number): number {
  return endOfPacked(bytes, start, end) === end ? rowsAt(bytes, start) : 0;
}

/** The blocks of what `packInto` wrote, as views; undefined when it cannot have written these bytes. */
export function unpack(bytes: Buffer): BatchBlocks | undefined {
  return rowsOf(bytes, 0, bytes.length) > 0 ? blocksAt(bytes, bytes.length) : undefined;
}

/** The blocks of what was packed at the beginning of the bytes, up to `end`. */
export function blocksAt(bytes: Buffer, end: number): BatchBlocks {
  const rows = rowsAt(bytes, 0);
  const width = bytes.readUInt32LE(WIDTH_AT);
  const slotsAt = featuresAt(0, rows);
  const predictionsAt = slotsAt + rows * width * FLOAT64_BYTES;
  const versionAt = predictionsAt + rows * FLOAT64_BYTES;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    rows,
    width,
    createdAt: bytes.readDoubleLE(0),
    pipelineVersion: bytes.toString('utf8', versionAt, end),
    ids: bytes,
    idsAt: IDS_AT,
    features: view,
    featuresAt: slotsAt,
    predictions: view,
    predictionsAt,
    textOf: undefined,
  };
}
