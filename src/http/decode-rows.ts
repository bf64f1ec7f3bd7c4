/**
 * Turns bodies into the rows that a pipeline takes, and validates them. The usual body is read from its bytes in one pass
 * (fast-path/json-rows.ts); what that gives up on is parsed as JSON and held against the schema. A body that the schema
 * refuses is searched for its faults, row by row up to MAX_FIELD_ERRORS, so that neither the work nor the answer grows
 * with what was sent.
 */
import * as z from 'zod';
import type { Contract } from '../contract/contract.ts';
import { type FeatureRow, type FeatureRows, toFeatureRows } from '../contract/rows.ts';
import { type FieldError, MAX_FIELD_ERRORS, type RidgelineError } from '../errors.ts';
import { createRowReader } from './fast-path/json-rows.ts';
import { parseBody, withoutMark } from './parse-body.ts';
import { faultsOf, invalid } from './schema-faults.ts';
import type { BatchBody } from './schemas/predictions.ts';

/** Decodes the bytes of a body, undefined where there is none. */
export type RowDecoder = (body: Buffer | undefined) => DecodedRows;

/** What Fastify expects of a validator: `value` replaces the body. */
export type DecodedRows = { value: FeatureRows } | { error: RidgelineError };

export interface RowDecoderOptions {
  contract: Contract;
  row: z.ZodType<FeatureRow>;
  /** Whether rows are read from the bytes where they can be. */
  fastPath: boolean;
}

export interface BatchDecoderOptions extends RowDecoderOptions {
  batch: z.ZodType<BatchBody>;
  maxBatchRows: number;
}

/** Of a body that is one row. */
export function createRowDecoder({ contract, row, fastPath }: RowDecoderOptions): RowDecoder {
  const readRow = fastPath ? createRowReader(contract, 1).readRow : undefined;
  const compiled = z.compile(row);
  return readOrCheck(contract, readRow, (body) => {
    if (compiled.validate(body)) return { value: toFeatureRows(contract, [body as FeatureRow]) };
    return { error: invalid('invalid_features', isBatch(body) ? [batchSentAsRow] : faultsOf(row, body, '')) };
  });
}

/** Reported instead of a dozen missing features, none of which is the mistake. */
const batchSentAsRow: FieldError = {
  pointer: '/instances',
  code: 'unknown_field',
  message: 'Send several rows to POST /predict/batch, and one row here without `instances`.',
};

function isBatch(body: unknown): boolean {
  return Array.isArray((body as Partial<BatchBody> | null)?.instances);
}

/** Of a body with one to `maxBatchRows` rows as its `instances`. */
export function createBatchDecoder(options: BatchDecoderOptions): RowDecoder {
  const { contract, row, batch, maxBatchRows, fastPath } = options;
  const readInstances = fastPath ? createRowReader(contract, maxBatchRows).readInstances : undefined;
  const compiled = z.compile(batch);
  const envelope = z.strictObject({ instances: z.array(z.unknown()).min(1).max(maxBatchRows) });
  return readOrCheck(contract, readInstances, (body) => {
    if (compiled.validate(body)) return { value: toFeatureRows(contract, (body as BatchBody).instances) };
    const faults = faultsOf(envelope, body, '');
    if (faults.length > 0) return { error: invalid('invalid_features', faults) };
    const { instances } = body as { instances: unknown[] };
    for (let i = 0; i < instances.length && faults.length <= MAX_FIELD_ERRORS; i++) {
      faults.push(...faultsOf(row, instances[i], `/instances/${i}`));
    }
    return { error: invalid('invalid_features', faults, instances.length) };
  });
}

/** Reads rows from the bytes where `read` can, and has the parsed body checked where it cannot. */
function readOrCheck(
  contract: Contract,
  read: ((body: Buffer) => FeatureRows | undefined) | undefined,
  check: (body: unknown) => DecodedRows,
): RowDecoder {
  const names = new Set([...contract.names, 'instances']);
  return (bytes) => {
    // Without a content type and a body there is nothing to parse, and everything is missing.
    if (!bytes) return check(undefined);
    const json = withoutMark(bytes);
    const rows = read?.(json);
    if (rows) return { value: rows };
    const body = parseBody(json, (name) => names.has(name));
    if ('error' in body) return body;
    const checked = check(body.value);
    if (body.repeated.length === 0) return checked;
    // Names given twice come first: only one of their values was checked.
    const { errors = [], rows: count } = 'error' in checked ? checked.error : {};
    return { error: invalid('invalid_features', [...body.repeated, ...errors], count) };
  };
}
