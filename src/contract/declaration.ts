/**
 * The declaration of a pipeline: which values a row has, and what is predicted from them. It is data, a JSON file that
 * people write or have derived from their rows, and it belongs to the version: validation, OpenAPI, the tensor, the stored
 * columns and the training follow from it (contract.ts).
 */
import type * as z from 'zod';
import { RidgelineError } from '../errors.ts';
import { isTaken, withColumns } from './column-names.ts';
import { type Declaration, type Feature, type FeatureInFile, featureInFile, featuresFile } from './features-schema.ts';
import { featureSchema } from './row-schema.ts';
import { fits, isUnstorable } from './values.ts';

/** A name that JavaScript objects, and with them JSON.parse, treat in a way of their own. */
const PROTOTYPE = '__proto__';
/** The members beside the features in the contributions of an answer. */
const RESERVED = ['base_value'];

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
  return featureInFile.shape.name.safeParse(name).success && name.isWellFormed() && !isOwn(name);
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
    [example !== undefined && !featureSchema(one).safeParse(example).success, 'the example is none that could be sent'],
  ];
  return problems.filter(([is]) => is).map(([, problem]) => `${name}: ${problem}.`);
}

const refuse = (detail: string) => new RidgelineError('declaration', { detail });
