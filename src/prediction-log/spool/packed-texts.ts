/**
 * A batch whose values may be texts or null as the payload of a frame: the packed batch (packed-batch.ts), then the texts
 * that its rows use. The slot of a text is its place among those; that of null is NaN. All numbers are little-endian.
 *
 *     +--------------+-------+------------+-------+------------+-----------------+-------+
 *     | packed batch | texts | references | bytes | lengths    | places          | texts |
 *     |              | u32   | u32        | u32   | u32 a text | u32 a reference | UTF-8 |
 *     +--------------+-------+------------+-------+------------+-----------------+-------+
 *
 * `bytes` is the length of all texts together. References are room for a text a row that its caller gives, such as an order
 * number: there are none, or one a row, by its place. This version writes none, and leaves frames with some to a later one.
 */
import { type BatchBlocks, FLOAT64_BYTES, type PredictionBatch, textsOf, widthOf } from '../prediction-batch.ts';
import { blocksAt, endOfPacked, featuresAt, packedSize, packInto, rowSize, rowsAt } from './packed-batch.ts';

const COUNT_BYTES = Uint32Array.BYTES_PER_ELEMENT;
const REFERENCES_AT = COUNT_BYTES;
const BYTES_AT = 2 * COUNT_BYTES;
const LENGTHS_AT = 3 * COUNT_BYTES;

/** Rows of a batch, from `start` to before `after`, that share a frame. */
export interface FramePart {
  start: number;
  after: number;
  /** The texts that they use, each once, and their places in the batch. */
  texts: Uint8Array[];
  places: number[];
  /** Of the payload. */
  size: number;
}

/** By the place of a text in a batch: the part that has met it last, and its place there. Set aside once (decision 0006). */
let metIn = new Float64Array(1024);
let placeThere = new Float64Array(1024);
let partsSoFar = 0;

/**
 * Divides a batch into parts of at most `mostBytes`, unless a single row has more. Each text counts as often as it occurs,
 * as it does when Postgres is given the rows.
 */
export function partsOf(batch: PredictionBatch, mostBytes: number): FramePart[] {
  const { features, predictions, contract, texts = [] } = batch;
  const textOf = textsOf(batch);
  const width = widthOf(batch);
  const bytesAround = packedSize(batch, 0) + LENGTHS_AT;
  const bytesOfRow = rowSize(width);
  makeRoomFor(contract.texts.length + texts.length);
  const parts: FramePart[] = [];
  let part: FramePart | undefined;
  let bytes = 0;
  for (let row = 0; row < predictions.length; row++) {
    let added = bytesOfRow;
    for (const feature of contract.textFeatures) {
      const place = features[row * width + feature]!;
      if (!Number.isNaN(place)) added += COUNT_BYTES + textOf(place).length;
    }
    if (!part || bytes + added > mostBytes) {
      part = { start: row, after: row, texts: [], places: [], size: bytesAround };
      parts.push(part);
      partsSoFar++;
      bytes = bytesAround;
    }
    bytes += added;
    part.after++;
    part.size += bytesOfRow;
    for (const feature of contract.textFeatures) {
      const place = features[row * width + feature]!;
      if (Number.isNaN(place) || metIn[place] === partsSoFar) continue;
      metIn[place] = partsSoFar;
      const text = textOf(place);
      part.texts.push(text);
      part.places.push(place);
      part.size += COUNT_BYTES + text.length;
    }
  }
  return parts;
}

function makeRoomFor(places: number): void {
  if (places <= metIn.length) return;
  metIn = new Float64Array(2 * places);
  placeThere = new Float64Array(2 * places);
}

/** Writes a part of the batch. */
export function packTextsInto(bytes: Buffer, at: number, batch: PredictionBatch, part: FramePart): void {
  const { start, after, texts } = part;
  packInto(bytes, at, batch, start, after);
  writePlaces(bytes, featuresAt(at, after - start), batch, part);
  const tableAt = at + packedSize(batch, after - start);
  const textsAt = tableAt + LENGTHS_AT + texts.length * COUNT_BYTES;
  let textAt = textsAt;
  for (let i = 0; i < texts.length; i++) {
    bytes.writeUInt32LE(texts[i]!.length, tableAt + LENGTHS_AT + i * COUNT_BYTES);
    bytes.set(texts[i]!, textAt);
    textAt += texts[i]!.length;
  }
  bytes.writeUInt32LE(texts.length, tableAt);
  bytes.writeUInt32LE(0, tableAt + REFERENCES_AT);
  bytes.writeUInt32LE(textAt - textsAt, tableAt + BYTES_AT);
}

/** Replaces the places that texts have in the batch by those in the frame. */
function writePlaces(
  bytes: Buffer,
  slotsAt: number,
  batch: PredictionBatch,
  { start, after, places }: FramePart,
): void {
  for (let i = 0; i < places.length; i++) placeThere[places[i]!] = i;
  const width = widthOf(batch);
  for (let row = start; row < after; row++) {
    for (const feature of batch.contract.textFeatures) {
      const place = batch.features[row * width + feature]!;
      const slotAt = slotsAt + ((row - start) * width + feature) * FLOAT64_BYTES;
      if (!Number.isNaN(place)) bytes.writeDoubleLE(placeThere[place]!, slotAt);
    }
  }
}

/** The rows of what lies between `start` and `end`, 0 when `packTextsInto` cannot have written that. */
export function rowsWithTexts(bytes: Buffer, start: number, end: number): number {
  const tableAt = endOfPacked(bytes, start, end);
  if (tableAt === -1 || end - tableAt < LENGTHS_AT) return 0;
  const places = bytes.readUInt32LE(tableAt) + bytes.readUInt32LE(tableAt + REFERENCES_AT);
  const size = LENGTHS_AT + places * COUNT_BYTES + bytes.readUInt32LE(tableAt + BYTES_AT);
  return size === end - tableAt ? rowsAt(bytes, start) : 0;
}

/** The blocks of what `packTextsInto` wrote, as views; undefined when it cannot have written these bytes. */
export function unpackTexts(bytes: Buffer): BatchBlocks | 'later' | undefined {
  if (rowsWithTexts(bytes, 0, bytes.length) === 0) return undefined;
  const tableAt = endOfPacked(bytes, 0, bytes.length);
  if (bytes.readUInt32LE(tableAt + REFERENCES_AT) > 0) return 'later';
  const count = bytes.readUInt32LE(tableAt);
  const texts = new Array<Uint8Array>(count);
  let textAt = tableAt + LENGTHS_AT + count * COUNT_BYTES;
  for (let i = 0; i < count; i++) {
    const length = bytes.readUInt32LE(tableAt + LENGTHS_AT + i * COUNT_BYTES);
    texts[i] = new Uint8Array(bytes.buffer, bytes.byteOffset + textAt, length);
    textAt += length;
  }
  if (textAt !== bytes.length) return undefined;
  const batch = blocksAt(bytes, tableAt);
  batch.textOf = (place) => texts[place];
  return batch;
}
