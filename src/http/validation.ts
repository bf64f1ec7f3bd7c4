/**
 * Checks bodies against their schemas and turns them into what a pipeline takes, so that the parsed rows, hundreds of
 * kilobytes of small objects in a large batch, need not be kept until it is their turn to run.
 *
 * A valid body costs one compiled pass; only a bad one is looked at again for its faults, row by row and no further than
 * MAX_FIELD_ERRORS, so that neither the work nor the answer grows with what was sent.
 */
import * as z from 'zod';
import { type FieldError, MAX_FIELD_ERRORS, RidgelineError } from '../errors.ts';
import type { EncodedRows, FeatureRow, RowEncoder } from '../feature-schema.ts';
import type { BatchBody } from './schemas/predictions.ts';

/** Fastify's form of a validator; the value takes the body's place in the request. */
export type BodyValidator = (body: unknown) => { value: EncodedRows } | { error: RidgelineError };

export function rowValidator(row: z.ZodType<FeatureRow>, { encodeRow }: RowEncoder): BodyValidator {
  const compiled = z.compile(row);
  return (body) => {
    if (compiled.validate(body)) return { value: encodeRow(body as FeatureRow) };
    return { error: invalid(isBatch(body) ? [batchSentAsRow] : faultsOf(row, body, '')) };
  };
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

export function batchValidator(
  row: z.ZodType<FeatureRow>,
  batch: z.ZodType<BatchBody>,
  maxBatchRows: number,
  { encodeRows }: RowEncoder,
): BodyValidator {
  const compiled = z.compile(batch);
  const envelope = z.strictObject({ instances: z.array(z.unknown()).min(1).max(maxBatchRows) });
  return (body) => {
    if (compiled.validate(body)) return { value: encodeRows((body as BatchBody).instances) };
    const faults = faultsOf(envelope, body, '');
    if (faults.length > 0) return { error: invalid(faults) };
    const { instances } = body as { instances: unknown[] };
    for (let i = 0; i < instances.length && faults.length <= MAX_FIELD_ERRORS; i++) {
      faults.push(...faultsOf(row, instances[i], `/instances/${i}`));
    }
    return { error: invalid(faults) };
  };
}

function invalid(faults: FieldError[]): RidgelineError {
  return new RidgelineError('invalid_features', {
    errors: faults.slice(0, MAX_FIELD_ERRORS),
    errorsTruncated: faults.length > MAX_FIELD_ERRORS,
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

function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** A name that could be a misspelt feature is worth pointing at; anything else of the caller's is not sent back. */
function isPlainName(key: string): boolean {
  return /^\w{1,32}$/.test(key);
}
