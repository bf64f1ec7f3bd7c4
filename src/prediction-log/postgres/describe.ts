/** Records for people to read, as `dead-letter.jsonl` has them: exact, so that they can be stored by hand. */
import type { Column } from '../../contract/contract.ts';
import { type BatchBlocks, FLOAT64_BYTES, ID_BYTES } from '../prediction-batch.ts';
import { featureColumns } from '../record-columns.ts';
import { fieldsOf, POSTGRES_EPOCH_MS } from './tuples.ts';

/** A record of the binary COPY format by the names of its columns. */
export function describeRecord(columns: readonly Column[], record: Buffer): Record<string, string | number | boolean> {
  const fields = fieldsOf(record).map(
    (field, i) => [columns[i]!.name, describeField(columns[i]!.type, field)] as const,
  );
  return Object.fromEntries(fields);
}

/** A row that cannot be such a record, with its features by name if they have one each. */
export function describeRow(batch: BatchBlocks, row: number, columns: readonly Column[]): Record<string, unknown> {
  const { ids, idsAt, features, featuresAt, predictions, predictionsAt, width, createdAt } = batch;
  const number = (view: DataView, at: number) => exactly(view.getFloat64(at, true));
  const values = Array.from({ length: width }, (_, i) =>
    number(features, featuresAt + (row * width + i) * FLOAT64_BYTES),
  );
  const names = featureColumns(columns).map(({ name }) => name);
  const id = idsAt + row * ID_BYTES;
  return {
    id: describeField('uuid', Buffer.from(ids.buffer, ids.byteOffset + id, ID_BYTES)),
    ...(names.length === width
      ? Object.fromEntries(values.map((value, i) => [names[i]!, value]))
      : { features: values }),
    prediction: number(predictions, predictionsAt + row * FLOAT64_BYTES),
    pipeline_version: batch.pipelineVersion,
    created_at: Number.isNaN(new Date(createdAt).getTime()) ? exactly(createdAt) : new Date(createdAt).toISOString(),
  };
}

function describeField(type: Column['type'], field: Buffer): string | number | boolean {
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
      return field.toString('utf8');
    case 'timestamp with time zone':
      return new Date(Number(field.readBigInt64BE()) / 1000 + POSTGRES_EPOCH_MS).toISOString();
  }
}

/** What JSON would write as null or without its sign, as the text that Postgres reads. */
function exactly(value: number): number | string {
  if (Object.is(value, -0)) return '-0';
  return Number.isFinite(value) ? value : String(value);
}
