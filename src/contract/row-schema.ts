/**
 * What JSON has to be for a row of a contract: the general way, which decides what is right and says what is not. Nothing is
 * converted: "12" is no number, 1 no boolean. The same schemas are shown in OpenAPI.
 */
import * as z from 'zod';
import { listing } from '../listing.ts';
import type { Contract } from './contract.ts';
import type { Feature } from './features-schema.ts';
import type { FeatureRow } from './rows.ts';
import { isUnstorable, type Value } from './values.ts';

/** So many categories are listed in a message, and as examples. */
const MOST_LISTED = 10;
/** Of each of them in a message, so that none makes an answer long. */
const MOST_LETTERS = 80;
/** So many are listed as the values that there are; a documentation page with thousands shows nothing. */
const MOST_ENUMERATED = 100;

/** The schema of one row: exactly the declared keys, of which the optional ones may be left out. */
export function rowSchema({ features }: Contract): z.ZodType<FeatureRow> {
  return z.strictObject(
    Object.fromEntries(features.map((feature) => [feature.name, featureSchema(feature)])),
  ) as z.ZodType<FeatureRow>;
}

/** Of one value, undefined where it is left out. */
export function featureSchema(feature: Feature): z.ZodType {
  const value = valueSchema(feature);
  const described = (feature.nullable ? value.nullable() : value).meta(jsonSchemaOf(feature));
  return feature.optional ? described.optional() : described;
}

/** What is said of a value of another type. */
const EXPECTED: Record<Feature['dtype'], string> = {
  float64: 'a finite number',
  int64: 'a whole number',
  bool: 'true or false',
  string: 'a string',
};

/** Of a check: where it fails, those behind it are left out, as one fault a value is told. */
const once = { abort: true };

function valueSchema(feature: Feature): z.ZodType {
  const expected = EXPECTED[feature.dtype] + (feature.nullable ? ' or null' : '');
  switch (feature.dtype) {
    case 'float64':
      return within(z.number(expected), feature);
    case 'int64':
      return amongCategories(within(z.int({ error: expected, ...once }), feature), feature);
    case 'bool':
      return z.boolean(expected);
    case 'string':
      return amongCategories(text(expected, feature.max_length), feature);
  }
}

function within(number: z.ZodNumber, { minimum, maximum }: Feature): z.ZodNumber {
  const above = minimum === undefined ? number : number.min(minimum, once);
  return maximum === undefined ? above : above.max(maximum, once);
}

function text(expected: string, maxLength: number): z.ZodString {
  const tooLong = refusal('out_of_range', `Send a text of at most ${maxLength} bytes in UTF-8.`);
  const unstorable = refusal('invalid', 'Send a text without NUL and without half of a surrogate pair.');
  return z
    .string(expected)
    .refine((value) => Buffer.byteLength(value) <= maxLength, tooLong)
    .refine((value) => !isUnstorable(value), unstorable);
}

function amongCategories<Schema extends z.ZodType>(schema: Schema, { categories = [], unknown }: Feature): Schema {
  if (unknown === 'accept') return schema;
  // Looked up, as there may be thousands.
  const known = new Set<unknown>(categories);
  return schema.refine((value) => known.has(value), refusal('unknown_category', `Send one of ${listOf(categories)}.`));
}

/** What callers are told where a check fails. */
function refusal(code: string, message: string) {
  return { error: message, params: { code }, ...once };
}

function listOf(categories: readonly Value[]): string {
  return `the declared categories: ${listing(categories, MOST_LISTED, (one) => JSON.stringify(one).slice(0, MOST_LETTERS))}`;
}

const JSON_TYPES: Record<Feature['dtype'], string> = {
  float64: 'number',
  int64: 'integer',
  bool: 'boolean',
  string: 'string',
};

/** The JSON Schema of a value. Members without a value are left out where it is written. */
function jsonSchemaOf(feature: Feature): z.core.GlobalMeta {
  const { dtype, nullable, categories = [], unknown } = feature;
  const type = JSON_TYPES[dtype];
  const isEnumerated = unknown === 'refuse' && categories.length <= MOST_ENUMERATED;
  return {
    // In the place of what zod writes for null, a list of alternatives.
    anyOf: undefined,
    type: nullable ? [type, 'null'] : type,
    description: descriptionOf(feature),
    minimum: feature.minimum ?? (dtype === 'int64' ? Number.MIN_SAFE_INTEGER : undefined),
    maximum: feature.maximum ?? (dtype === 'int64' ? Number.MAX_SAFE_INTEGER : undefined),
    // In characters, of which each is a byte or more.
    maxLength: dtype === 'string' ? feature.max_length : undefined,
    enum: isEnumerated ? [...categories, ...(nullable ? [null] : [])] : undefined,
    examples: isEnumerated ? undefined : examplesOf(feature),
  };
}

function descriptionOf({ description, unit, categories = [], unknown }: Feature): string | undefined {
  const measured = description && unit ? `${description} (${unit})` : (description ?? (unit && `In ${unit}`));
  if (unknown === 'accept' || categories.length <= MOST_ENUMERATED) return measured;
  return [measured, `One of ${categories.length} declared categories`].filter(Boolean).join('. ');
}

function examplesOf({ example, categories = [] }: Feature): Value[] | undefined {
  const examples = new Set([example ?? [], categories.slice(0, MOST_LISTED)].flat());
  return examples.size > 0 ? [...examples] : undefined;
}
