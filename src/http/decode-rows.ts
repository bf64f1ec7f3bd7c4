/**
 * Turns bodies into what a pipeline takes, and checks them on the way. The usual body is read from its bytes in one pass
 * (fast-path/json-rows.ts). What that gives up on is parsed as JSON and meets the schema; only what the schema refuses is looked at
 * again for its faults, row by row and no further than MAX_FIELD_ERRORS, so that neither the work nor the answer grows
 * with what was sent.
 */
import * as z from 'zod';
import { type FieldError, MAX_FIELD_ERRORS, RidgelineError } from '../errors.ts';
import {
  type FeatureRow,
  type FeatureRows,
  type FeatureSchema,
  featureNames,
  toFeatureRows,
} from '../feature-schema.ts';
import { createRowReader } from './fast-path/json-rows.ts';
import { escapePointer } from './json-faults.ts';
import { isPlainName, parseBody, withoutMark } from './parse-body.ts';
import type { BatchBody } from './schemas/predictions.ts';

/** Fastify's form of a validator, for the bytes of a body, which fast-path/body-bytes.ts gives. The value takes their place. */
export type RowDecoder = (body: Buffer | undefined) => CheckedBody;

type CheckedBody = { value: FeatureRows } | { error: RidgelineError };

export function createRowDecoder(features: FeatureSchema, row: z.ZodType<FeatureRow>): RowDecoder {
  const { readRow } = createRowReader(features, 1);
  const compiled = z.compile(row);
  return readOrCheck(features, readRow, (body) => {
    if (compiled.validate(body)) return { value: toFeatureRows(features, [body as FeatureRow]) };
    return { error: invalid(isBatch(body) ? [batchSentAsRow] : faultsOf(row, body, '')) };
  });
}

/** In place of a dozen missing features, of which none is the mistake. */
const batchSentAsRow: FieldError = {
  pointer: '/instances',
  code: 'unknown_field',
  message: 'Send several rows to POST /predict/batch, and one row here without `instances`.',
};

function isBatch(body: unknown): boolean {
  return Array.isArray((body as Partial<BatchBody> | null)?.instances);
}

export function createBatchDecoder(
  features: FeatureSchema,
  row: z.ZodType<FeatureRow>,
  batch: z.ZodType<BatchBody>,
  maxBatchRows: number,
): RowDecoder {
  const { readInstances } = createRowReader(features, maxBatchRows);
  const compiled = z.compile(batch);
  const envelope = z.strictObject({ instances: z.array(z.unknown()).min(1).max(maxBatchRows) });
  return readOrCheck(features, readInstances, (body) => {
    if (compiled.validate(body)) return { value: toFeatureRows(features, (body as BatchBody).instances) };
    const faults = faultsOf(envelope, body, '');
    if (faults.length > 0) return { error: invalid(faults) };
    const { instances } = body as { instances: unknown[] };
    for (let i = 0; i < instances.length && faults.length <= MAX_FIELD_ERRORS; i++) {
      faults.push(...faultsOf(row, instances[i], `/instances/${i}`));
    }
    return { error: invalid(faults, instances.length) };
  });
}

/** Reads rows from the bytes where `read` can, and has the parsed body checked where it cannot. */
function readOrCheck(
  features: FeatureSchema,
  read: (body: Buffer) => FeatureRows | undefined,
  check: (body: unknown) => CheckedBody,
): RowDecoder {
  const names = new Set([...featureNames(features), 'instances']);
  return (bytes) => {
    // Without a content type and a body there is nothing to parse, and everything is missing.
    if (!bytes) return check(undefined);
    const json = withoutMark(bytes);
    const rows = read(json);
    if (rows) return { value: rows };
    const body = parseBody(json, names);
    if ('error' in body) return body;
    const checked = check(body.value);
    if (body.repeated.length === 0) return checked;
    // Which of the two was checked is not what the caller has to be told first.
    const { errors = [], rows: count } = 'error' in checked ? checked.error : {};
    return { error: invalid([...body.repeated, ...errors], count) };
  };
}

function invalid(faults: FieldError[], rows?: number): RidgelineError {
  return new RidgelineError('invalid_features', {
    errors: faults.slice(0, MAX_FIELD_ERRORS),
    errorsTruncated: faults.length > MAX_FIELD_ERRORS,
    ...(rows !== undefined && { rows }),
  });
}

function faultsOf(schema: z.ZodType, value: unknown, base: string): FieldError[] {
  return schema.safeParse(value).error?.issues.flatMap((issue) => toFieldErrors(issue, value, base)) ?? [];
}

/** Of an envelope; a feature's schema says itself what it expects. */
const expectations: Partial<Record<string, string>> = {
  object: 'a JSON object',
  array: 'a JSON array',
};

function toFieldErrors(issue: z.core.$ZodIssue, value: unknown, base: string): FieldError[] {
  const pointer = base + issue.path.map((key) => `/${escapePointer(String(key))}`).join('');
  switch (issue.code) {
    case 'unrecognized_keys':
      // One more than is reported tells that there are more.
      return issue.keys.slice(0, MAX_FIELD_ERRORS + 1).map((key) => ({
        pointer: isPlainName(key) ? `${pointer}/${key}` : pointer,
        code: 'unknown_field',
        message: 'This field is not declared. Remove it or correct its name.',
      }));
    case 'invalid_type': {
      const missing =
        issue.path.length === 1 && (value as Record<string, unknown>)[String(issue.path[0])] === undefined;
      const expected = expectations[issue.expected] ?? issue.message;
      return missing
        ? [{ pointer, code: 'missing', message: `This field is required: send ${expected}.` }]
        : [{ pointer, code: 'invalid_type', message: `Send ${expected}.` }];
    }
    case 'too_big':
    case 'too_small':
      return [{ pointer, code: 'out_of_range', message: rangeMessage(issue) }];
    default:
      return [{ pointer, code: 'invalid', message: 'This value is not valid.' }];
  }
}

function rangeMessage(issue: z.core.$ZodIssueTooBig | z.core.$ZodIssueTooSmall): string {
  const [word, limit] = issue.code === 'too_big' ? ['at most', issue.maximum] : ['at least', issue.minimum];
  return issue.origin === 'array'
    ? `Send ${word} ${limit} ${limit === 1 ? 'row' : 'rows'}.`
    : `Send a number of ${word} ${limit}.`;
}
