/** Records for people to read, as `dead-letter.jsonl` has them: exact, so that they can be stored by hand. */
import type { Column } from '../../contract/contract.ts';
import { type BatchBlocks, FLOAT64_BYTES, ID_BYTES } from '../prediction-batch.ts';
import { featureColumns } from '../record-columns.ts';
import { fieldsOf, POSTGRES_EPOCH_MS } from './tuples.ts';

type Described = string | number | boolean | null;

/** A record of the binary COPY format by the names of its columns. */
export function describeRecord(columns: readonly Column[], record: Buffer): Record<string, Described> {
  const fields = fieldsOf(record).map((field, i) => {
    const { name, type } = columns[i]!;
    return [name, field && describeField(type, field)] as const;
  });
  return Object.fromEntries(fields);
}

/** A row of a batch, with its features by name, or as a list where they are not those of the columns. */
export function describeRow(batch: BatchBlocks, row: number, columns: readonly Column[]): Record<string, unknown> {
  const { ids, idsAt, features, featuresAt, predictions, predictionsAt, width, createdAt } = batch;
  const declared = featureColumns(columns);
  const areDeclared = declared.length === width;
  const slots = Array.from({ length: width }, (_, i) =>
    features.getFloat64(featuresAt + (row * width + i) * FLOAT64_BYTES, true),
  );
  const id = idsAt + row * ID_BYTES;
  return {
    id: describeField('uuid', Buffer.from(ids.buffer, ids.byteOffset + id, ID_BYTES)),
    ...(areDeclared
      ? Object.fromEntries(slots.map((slot, i) => [declared[i]!.name, describeSlot(declared[i]!.type, slot, batch)]))
      : { features: slots.map((slot) => describeSlot('double precision', slot, batch)), ...textsOfRow(slots, batch) }),
    prediction: exactly(predictions.getFloat64(predictionsAt + row * FLOAT64_BYTES, true)),
    pipeline_version: batch.pipelineVersion,
    created_at: Number.isNaN(new Date(createdAt).getTime()) ? exactly(createdAt) : new Date(createdAt).toISOString(),
  };
}

/** What a slot stands for; itself where its column cannot hold it. */
function describeSlot(type: Column['type'], slot: number, { textOf }: BatchBlocks): Described {
  if (textOf && Number.isNaN(slot)) return null;
  if (type === 'boolean' && (slot === 0 || slot === 1)) return slot === 1;
  const text = type === 'text' && textOf?.(slot);
  return text ? utf8(text) : exactly(slot);
}

/** By slot, what the slots of texts stand for, if it is not known which those are. */
function textsOfRow(slots: readonly number[], { textOf }: BatchBlocks): { texts?: Record<string, string> } {
  if (!textOf) return {};
  const texts = slots.map((slot) => [slot, textOf(slot)] as const).filter(([, text]) => text !== undefined);
  return { texts: Object.fromEntries(texts.map(([slot, text]) => [slot, utf8(text!)])) };
}

function utf8({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('utf8');
}

function describeField(type: Column['type'], field: Buffer): Described {
  switch (type) {
    case 'uuid':
      return field.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    case 'double precision':
      return exactly(field.readDoubleBE());
    case 'boolean':
      return field[0] === 1;
    case 'bigint':
      return Number(field.readBigInt64BE());
    case 'text':
      return utf8(field);
    case 'timestamp with time zone':
      return new Date(Number(field.readBigInt64BE()) / 1000 + POSTGRES_EPOCH_MS).toISOString();
  }
}

/** What JSON would write as null or without its sign, as the text that Postgres reads. */
function exactly(value: number): number | string {
  if (Object.is(value, -0)) return '-0';
  return Number.isFinite(value) ? value : String(value);
}
