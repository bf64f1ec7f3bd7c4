/**
 * Turns bodies into the rows that a pipeline takes, and validates them. The usual body is read from its bytes in one pass
 * (fast-path/json-rows.ts); what that gives up on is parsed as JSON and held against the schema. The faults of a body are
 * gathered row by row up to MAX_FIELD_ERRORS, so that neither the work nor the answer grows with what was sent.
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
  maxBatchRows: number;
}

/** Of a body that is one row. */
export function createRowDecoder(options: RowDecoderOptions): RowDecoder {
  const { contract, fastPath } = options;
  const readRow = fastPath ? createRowReader(contract, 1).readRow : undefined;
  const faultsOfRow = createRowCheck(options);
  const declaresInstances = contract.names.includes('instances');
  return readOrCheck(contract, readRow, (body) => {
    const faults = isBatch(body) && !declaresInstances ? [batchSentAsRow] : faultsOfRow(body, '');
    if (faults.length > 0) return { error: invalid('invalid_features', faults) };
    return { value: toFeatureRows(contract, [body as FeatureRow]) };
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
  const { contract, maxBatchRows, fastPath } = options;
  const readInstances = fastPath ? createRowReader(contract, maxBatchRows).readInstances : undefined;
  const envelope = z.strictObject({ instances: z.array(z.unknown()).min(1).max(maxBatchRows) });
  const faultsOfRow = createRowCheck(options);
  return readOrCheck(contract, readInstances, (body) => {
    const faults = faultsOf(envelope, body, '', ['instances']);
    if (faults.length > 0) return { error: invalid('invalid_features', faults) };
    const { instances } = body as BatchBody;
    for (let i = 0; i < instances.length && faults.length <= MAX_FIELD_ERRORS; i++) {
      faults.push(...faultsOfRow(instances[i], `/instances/${i}`));
    }
    if (faults.length > 0) return { error: invalid('invalid_features', faults, instances.length) };
    return { value: toFeatureRows(contract, instances) };
  });
}

/** Finds the faults of what JSON.parse has made of a row, which has its place in the body in front of their pointers. */
function createRowCheck({ contract: { names }, row }: RowDecoderOptions) {
  // A feature `constructor` that was left out would be found all the same, as objects inherit one.
  const areInherited = names.some((name) => name in Object.prototype);
  return (value: unknown, base: string): FieldError[] => {
    if (areInherited && typeof value === 'object' && value !== null) Object.setPrototypeOf(value, null);
    return faultsOf(row, value, base, names);
  };
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
