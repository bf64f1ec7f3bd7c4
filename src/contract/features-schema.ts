/**
 * The shape of a declaration: what a features file may say, key by key. What the keys may not say together is in
 * declaration.ts; `features.schema.json`, by which editors complete such a file, is made from this.
 */
import * as z from 'zod';
import { dtypes, isUnstorable } from './values.ts';

/** For people to read; Postgres stores it with the rest. */
const words = (most: number) =>
  z
    .string()
    .max(most)
    .refine((text) => !isUnstorable(text), 'holds a NUL, or half of a character');

export const featureInFile = z
  .strictObject({
    name: z
      .string()
      .min(1)
      .max(128)
      .regex(/^\P{Cc}+$/u, 'holds a control character')
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

export const featuresFile = z.strictObject({
  $schema: z.string().optional(),
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,39}$/)
    .describe('Of the data set: lower-case letters, digits and _'),
  description: words(1000).optional(),
  features: z.array(featureInFile).min(1).max(400).describe('In the order of the columns of the pipeline'),
  output,
});

export type FeatureInFile = z.output<typeof featureInFile>;

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
