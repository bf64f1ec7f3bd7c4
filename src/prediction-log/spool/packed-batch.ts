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

/**
 * The rows of what lies between `start` and `end`, 0 when `packInto` cannot have written that: its lengths do not add up,
 * or its time is none.
 */
export function rowsOf(bytes: Buffer, start: number, end: number): number {
  if (end - start < IDS_AT) return 0;
  const rows = bytes.readUInt32LE(start + ROWS_AT);
  const size =
    IDS_AT + rows * rowSize(bytes.readUInt32LE(start + WIDTH_AT)) + bytes.readUInt32LE(start + VERSION_BYTES_AT);
  const createdAt = bytes.readDoubleLE(start);
  const isTime = Number.isInteger(createdAt) && Math.abs(createdAt) <= LONGEST_TIME_MS;
  return size === end - start && isTime ? rows : 0;
}

/** The blocks of what `packInto` wrote, as views; undefined when it cannot have written these bytes. */
export function unpack(bytes: Buffer): BatchBlocks | undefined {
  const rows = rowsOf(bytes, 0, bytes.length);
  if (rows === 0) return undefined;
  const width = bytes.readUInt32LE(WIDTH_AT);
  const featuresAt = IDS_AT + rows * ID_BYTES;
  const predictionsAt = featuresAt + rows * width * FLOAT64_BYTES;
  const versionAt = predictionsAt + rows * FLOAT64_BYTES;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    rows,
    width,
    createdAt: bytes.readDoubleLE(0),
    pipelineVersion: bytes.toString('utf8', versionAt),
    ids: bytes,
    idsAt: IDS_AT,
    features: view,
    featuresAt,
    predictions: view,
    predictionsAt,
  };
}
