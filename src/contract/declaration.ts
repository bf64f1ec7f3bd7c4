/**
 * The declaration of a pipeline: which values a row has, and what is predicted from them. It is data, a JSON file that
 * people write or have derived from their rows, and it belongs to the version: validation, OpenAPI, the tensor, the stored
 * columns and the training follow from it (contract.ts).
 */
import * as z from 'zod';
import { RidgelineError } from '../errors.ts';
import { isTaken, withColumns } from './column-names.ts';

/** As of numpy, and as ONNX names its types. */
const dtypes = ['float64', 'int64', 'bool', 'string'] as const;

/** A name that JavaScript objects, and with them JSON.parse, treat in a way of their own. */
const PROTOTYPE = '__proto__';
/** The members beside the features in the contributions of an answer. */
const RESERVED = ['base_value'];

/** For people to read; Postgres stores it with the rest. */
const words = (most: number) =>
  z
    .string()
    .max(most)
    .refine((text) => !isUnstorable(text), 'holds a NUL, or half of a character');

const feature = z
  .strictObject({
    name: z
      .string()
      .min(1)
      .max(128)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
      .regex(/^[^\u0000-\u001f]+$/)
      .describe('The key in JSON and the column in a CSV file'),
    dtype: z.enum(dtypes).describe('The type of its values. int64 takes the whole numbers up to 2^53 - 1'),
    kind: z
      .enum(['numerical', 'categorical'])
      .optional()
      .describe('numerical values are scaled, categorical ones one-hot encoded. By default the first for numbers'),
    nullable: z.boolean().default(false).describe('Whether null may be sent'),
    optional: z.boolean().default(false).describe('Whether it may be left out, which is the same as null'),
    null_as: z
      .union([z.string(), z.number(), z.boolean()])
      .optional()
      .describe('What the pipeline sees in the place of null; by default the mean, or a category of its own'),
    categories: z
      .array(z.union([z.string(), z.int()]))
      .max(10_000)
      .optional()
      .describe('The values that the pipeline knows'),
    unknown: z
      .enum(['accept', 'refuse'])
      .default('accept')
      .describe('Whether values beyond the categories are predicted for, or refused'),
    minimum: z.number().optional().describe('Smaller numbers are refused'),
    maximum: z.number().optional().describe('Larger numbers are refused'),
    max_length: z.int().min(1).max(8192).default(1024).describe('Of a text, in bytes of UTF-8'),
    column: z
      .string()
      .regex(/^[a-z_][a-z0-9_]{0,62}$/)
      .optional()
      .describe('Its column in the table of predictions; by default made from the name'),
    description: words(1000).optional(),
    unit: words(100).optional(),
    example: z.union([z.string(), z.number(), z.boolean(), z.null()]).optional().describe('Shown in the documentation'),
  })
  .describe('One value of a row');

const output = z
  .strictObject({
    task: z.literal('regression'),
    name: words(128).min(1).default('prediction').describe('The target: its column in a CSV file'),
    description: words(1000).optional(),
    unit: words(100).optional(),
    example: z.number().optional(),
  })
  .describe('What is predicted');

/** The shape of a features file; `features.schema.json` is made from it. */
export const featuresFile = z.strictObject({
  $schema: z.string().optional(),
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,39}$/)
    .describe('Of the data set: lower-case letters, digits and _'),
  description: words(1000).optional(),
  features: z.array(feature).min(1).max(400).describe('In the order of the columns of the pipeline'),
  output,
});

type FeatureInFile = z.output<typeof feature>;

/** A feature with everything that a file may leave out. */
export interface Feature extends FeatureInFile {
  kind: 'numerical' | 'categorical';
  column: string;
}

export interface Declaration {
  name: string;
  description?: string | undefined;
  features: readonly Feature[];
  output: z.output<typeof output>;
}

/** A value of a row, as JSON has it. */
export type Value = number | string | boolean | null;

/**
 * Reads what a features file or a version's row holds, and fills in what it leaves out. Throws `declaration` with the place
 * and what to do.
 */
export function parseDeclaration(json: unknown): Declaration {
  const { data, error } = featuresFile.safeParse(json);
  if (error) throw refuse(error.issues.map(sentenceOf).join(' '));
  const { $schema: _editors, ...file } = data;
  const declaration = { ...file, features: withColumns(file.features.map(withKind)) };
  const [problem] = problemsOf(declaration);
  if (problem) throw refuse(problem);
  // Once more, as that puts the keys in one order.
  return featuresFile.parse(declaration) as Declaration;
}

/** Whether a feature may have this name. */
export function isFeatureName(name: string): boolean {
  return feature.shape.name.safeParse(name).success && name.isWellFormed() && !isOwn(name);
}

/** Of JavaScript, or of ours. */
const isOwn = (name: string) => name === PROTOTYPE || RESERVED.includes(name);

function withKind<Given extends FeatureInFile>(given: Given) {
  const isNumber = given.dtype === 'float64' || given.dtype === 'int64';
  return { ...given, kind: given.kind ?? (isNumber ? 'numerical' : 'categorical') } as const;
}

function sentenceOf({ path, message, code, ...issue }: z.core.$ZodIssue): string {
  const place =
    path.length === 0
      ? 'The file'
      : path
          .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
          .join('')
          .replace(/^\./, '');
  if (code !== 'unrecognized_keys') return `${place}: ${message}.`;
  const keys = 'keys' in issue ? (issue.keys as string[]).join(', ') : '';
  return `${place}: ${keys} is not known to this version of Ridgeline; correct the name, or upgrade.`;
}

/** What the shape alone cannot say. */
function problemsOf({ features }: Declaration): string[] {
  return [...repetitions(features, 'name'), ...repetitions(features, 'column'), ...features.flatMap(problemsOfFeature)];
}

function repetitions(features: readonly Feature[], key: 'name' | 'column'): string[] {
  const values = features.map((one) => one[key]);
  return values
    .filter((value, i) => values.indexOf(value) !== i)
    .map((value) => `The ${key} ${value} is there twice: every feature needs its own.`);
}

function problemsOfFeature(one: Feature): string[] {
  const { name, dtype, kind, null_as, categories, unknown, minimum, maximum, example } = one;
  const isNumber = dtype === 'float64' || dtype === 'int64';
  const problems: [boolean, string][] = [
    [isOwn(name), 'the name is not free; take another one'],
    [!name.isWellFormed(), 'the name is not Unicode; correct it'],
    [isTaken(one.column), `the column ${one.column} is not free; take another one`],
    [!isNumber && kind === 'numerical', `${dtype} cannot be scaled; leave kind out, or declare a number`],
    [dtype === 'float64' && kind === 'categorical', 'categories are whole numbers, texts or booleans; declare int64'],
    [null_as !== undefined && !fits(dtype, null_as), `null_as is not of its dtype, ${dtype}`],
    [null_as !== undefined && !one.nullable && !one.optional, 'null_as needs nullable or optional'],
    [categories !== undefined && kind === 'numerical', 'categories need kind categorical'],
    [categories !== undefined && dtype === 'bool', 'the categories of a bool are true and false; leave them out'],
    [
      categories !== undefined && !categories.every((value) => fits(dtype, value)),
      `categories must be of its dtype, ${dtype}`,
    ],
    [categories !== undefined && new Set(categories).size < categories.length, 'a category is there twice'],
    [[...(categories ?? []), null_as, example].some(isUnstorable), 'a text holds a NUL, or half of a character'],
    [unknown === 'refuse' && !categories?.length, 'unknown: refuse needs categories'],
    [(minimum ?? maximum) !== undefined && !isNumber, 'minimum and maximum are for numbers'],
    [minimum !== undefined && maximum !== undefined && minimum > maximum, 'minimum is above maximum'],
    [example !== undefined && !takes(one, example), 'the example is none that could be sent'],
  ];
  return problems.filter(([is]) => is).map(([, problem]) => `${name}: ${problem}.`);
}

/** Whether callers may send a value. */
function takes(one: Feature, value: Value): boolean {
  const { minimum = -Infinity, maximum = Infinity, categories = [], unknown } = one;
  if (value === null) return one.nullable;
  if (!fits(one.dtype, value)) return false;
  if (typeof value === 'number' && (value < minimum || value > maximum)) return false;
  if (typeof value === 'string' && Buffer.byteLength(value) > one.max_length) return false;
  return unknown === 'accept' || categories.some((category) => category === value);
}

/** Whether a value is one of the type, as JSON writes it. */
export function fits(dtype: Feature['dtype'], value: unknown): boolean {
  switch (dtype) {
    case 'float64':
      return Number.isFinite(value);
    case 'int64':
      return Number.isSafeInteger(value);
    case 'bool':
      return typeof value === 'boolean';
    case 'string':
      return typeof value === 'string';
  }
}

/** Whether it is a text with a NUL or half of a character, which neither Postgres nor ONNX Runtime takes. */
export function isUnstorable(value: unknown): boolean {
  return typeof value === 'string' && (value.includes('\0') || !value.isWellFormed());
}

const refuse = (detail: string) => new RidgelineError('declaration', { detail });
