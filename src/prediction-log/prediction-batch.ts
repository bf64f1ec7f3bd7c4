/** Predictions that were made together, and how they lie in the spool: packed in blocks, as they lie in memory. */

/** Predictions that were made by one version at one time. */
export interface PredictionBatch {
  /** 16 bytes a row. */
  ids: Uint8Array;
  /** Row-major values in the declared order. */
  features: Float64Array;
  /** One a row. */
  predictions: Float64Array;
  pipelineVersion: string;
  createdAt: Date;
}

export const ID_BYTES = 16;
export const FLOAT64_BYTES = 8;

/** At the beginning: milliseconds since 1970 (float64), rows, width and bytes of the version (32 bits), all little-endian. */
const ROWS_AT = 8;
const WIDTH_AT = 12;
const VERSION_BYTES_AT = 16;
const IDS_AT = 20;

/** Bytes that `rows` rows of the batch take when packed. */
export function packedBytes(batch: PredictionBatch, rows: number): number {
  return IDS_AT + rows * rowBytes(widthOf(batch)) + Buffer.byteLength(batch.pipelineVersion);
}

/** Values of one row in `features`. */
export function widthOf({ features, predictions }: PredictionBatch): number {
  return features.length / predictions.length;
}

export function rowBytes(width: number): number {
  return ID_BYTES + (width + 1) * FLOAT64_BYTES;
}

/** Writes the rows from `start` to before `after`. Every machine that Node runs ONNX Runtime on is little-endian. */
export function packBatch(batch: PredictionBatch, start: number, after: number, bytes: Buffer, at: number): void {
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

/** A batch whole, packed in memory of its own. */
export function packed(batch: PredictionBatch): PackedBatch {
  const rows = batch.predictions.length;
  const bytes = Buffer.allocUnsafe(packedBytes(batch, rows));
  packBatch(batch, 0, rows, bytes, 0);
  return readPacked(bytes)!;
}

/** Where things are in a packed batch. */
export interface PackedBatch {
  bytes: Buffer;
  rows: number;
  width: number;
  createdAt: number;
  pipelineVersion: string;
  idsAt: number;
  featuresAt: number;
  predictionsAt: number;
}

/** Finds its way in what `packBatch` wrote, without a copy; undefined when the bytes cannot be that. */
export function readPacked(bytes: Buffer): PackedBatch | undefined {
  if (bytes.length < IDS_AT) return undefined;
  const rows = bytes.readUInt32LE(ROWS_AT);
  const width = bytes.readUInt32LE(WIDTH_AT);
  const featuresAt = IDS_AT + rows * ID_BYTES;
  const predictionsAt = featuresAt + rows * width * FLOAT64_BYTES;
  const versionAt = predictionsAt + rows * FLOAT64_BYTES;
  if (rows === 0 || bytes.length !== versionAt + bytes.readUInt32LE(VERSION_BYTES_AT)) return undefined;
  const pipelineVersion = bytes.toString('utf8', versionAt);
  return {
    bytes,
    rows,
    width,
    createdAt: bytes.readDoubleLE(0),
    pipelineVersion,
    idsAt: IDS_AT,
    featuresAt,
    predictionsAt,
  };
}
