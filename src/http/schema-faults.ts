/** The faults that a zod schema finds in a body or a query, as callers see them: where, a code, and what to send. */
import type * as z from 'zod';
import { type ErrorCode, type FieldError, MAX_FIELD_ERRORS, type ParameterError, RidgelineError } from '../errors.ts';
import { meantName } from '../nearest-name.ts';
import { escapePointer } from './json-faults.ts';
import { isPlainName } from './parse-body.ts';

/** The error that lists the faults, up to the limit. `rows` is how many the request has brought, if any. */
export function invalid(
  code: ErrorCode,
  faults: readonly (FieldError | ParameterError)[],
  rows?: number,
): RidgelineError {
  return new RidgelineError(code, {
    errors: faults.slice(0, MAX_FIELD_ERRORS),
    errorsTruncated: faults.length > MAX_FIELD_ERRORS,
    ...(rows !== undefined && { rows }),
  });
}

/**
 * The faults of a body, or of the part of it to which the JSON pointer `base` leads; none where the schema takes it. Of the
 * `names` that are declared there one is proposed for a name that is not.
 */
export function faultsOf(schema: z.ZodType, value: unknown, base: string, names: readonly string[] = []): FieldError[] {
  const issues = schema.safeParse(value).error?.issues ?? [];
  return issues.flatMap((issue) => {
    const pointer = base + issue.path.map((key) => `/${escapePointer(String(key))}`).join('');
    if (issue.code !== 'unrecognized_keys') return [{ pointer, ...faultOf(issue, value, 'field') }];
    const absent = names.filter((name) => !Object.hasOwn(value as object, name));
    // One more than is reported shows that there are more.
    return issue.keys.slice(0, MAX_FIELD_ERRORS + 1).map((key) => ({
      pointer: isPlainName(key) ? `${pointer}/${key}` : pointer,
      code: 'unknown_field',
      message: unknownField(key, absent, names),
    }));
  });
}

/** Of the declared names those that are not there yet are likelier to be meant. */
function unknownField(key: string, absent: readonly string[], names: readonly string[]): string {
  const meant = meantName(key, absent) ?? meantName(key, names);
  const which = isPlainName(key) ? 'This field' : 'A field whose name is not repeated here';
  return meant === undefined
    ? `${which} is not declared. Remove it or correct its name.`
    : `${which} is not declared: did you mean ${meant}? Correct its name or remove it.`;
}

/** The faults of a query or of the parts of a path. A name that is no plain one is not sent back. */
export function parameterFaultsOf(issues: readonly z.core.$ZodIssue[], query: unknown): ParameterError[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.slice(0, MAX_FIELD_ERRORS + 1).map((key) => ({
        parameter: isPlainParameter(key) ? key : '',
        code: 'unknown_parameter',
        message: 'There is no such parameter here. Remove it or correct its name.',
      }));
    }
    const parameter = String(issue.path[0] ?? '');
    if (issue.path.length === 1 && Array.isArray(valueAt(query, issue.path))) {
      return [{ parameter, code: 'repeated_parameter', message: 'Send this parameter once.' }];
    }
    return [{ parameter, ...faultOf(issue, query, 'parameter') }];
  });
}

function isPlainParameter(name: string): boolean {
  return /^[\w.-]{1,32}$/.test(name);
}

/** What is expected, where a schema does not say it itself. */
const expectations: Partial<Record<string, string>> = {
  object: 'a JSON object',
  array: 'a JSON array',
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};

function faultOf(issue: z.core.$ZodIssue, value: unknown, what: 'field' | 'parameter') {
  switch (issue.code) {
    case 'invalid_type': {
      const expected = /^Invalid /.test(issue.message)
        ? (expectations[issue.expected] ?? 'another type')
        : issue.message;
      return issue.path.length > 0 && valueAt(value, issue.path) === undefined
        ? { code: 'missing', message: `This ${what} is required: send ${expected}.` }
        : { code: 'invalid_type', message: `Send ${expected}.` };
    }
    case 'too_big':
    case 'too_small':
      return { code: 'out_of_range', message: rangeMessage(issue) };
    case 'invalid_value':
      return { code: 'invalid', message: `Send ${issue.values.map((one) => JSON.stringify(one)).join(' or ')}.` };
    case 'custom': {
      const code = (issue.params?.code as string | undefined) ?? 'invalid';
      return { code, message: /^Invalid /.test(issue.message) ? INVALID : issue.message };
    }
    default:
      return { code: 'invalid', message: INVALID };
  }
}

const INVALID = 'This value is not valid.';

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((part, key) => (part as Record<PropertyKey, unknown> | null | undefined)?.[key], value);
}

function rangeMessage(issue: z.core.$ZodIssueTooBig | z.core.$ZodIssueTooSmall): string {
  const [word, limit] = issue.code === 'too_big' ? ['at most', issue.maximum] : ['at least', issue.minimum];
  if (issue.origin === 'array') return `Send ${word} ${limit} ${limit === 1 ? 'row' : 'rows'}.`;
  if (issue.origin === 'string') return `Send ${word} ${limit} ${limit === 1 ? 'character' : 'characters'}.`;
  return `Send a number of ${word} ${limit}.`;
}
