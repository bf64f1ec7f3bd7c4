/**
 * What a declared feature is, and what follows from the declaration: the order of columns, their names in SQL, the
 * validator of a row. Everything else takes a FeatureSchema as an argument and knows no data set by name.
 */
import * as z from 'zod';

export interface Feature {
  /** The name in JSON and in the data set; in lower case, the name of the column in Postgres. */
  name: string;
  /** `numerical` is scaled; `categorical` is one-hot encoded and holds whole numbers. */
  kind: 'numerical' | 'categorical';
  description: string;
  unit: string;
  /** A value of one real row, shown in the documentation. */
  example: number;
}

export interface FeatureSchema {
  /** In the order of the ONNX input's columns. */
  features: readonly Feature[];
  target: { name: string; description: string; unit: string; example: number };
}

/** One row by feature name, as it arrives in JSON. */
export type FeatureRow = Record<string, number>;

export function featureNames(schema: FeatureSchema): string[] {
  return schema.features.map((feature) => feature.name);
}

/** The positions, in the declared order, of the features of one kind. */
export function columnsOfKind(schema: FeatureSchema, kind: Feature['kind']): number[] {
  return schema.features.flatMap((feature, column) => (feature.kind === kind ? [column] : []));
}

/** A column of `predictions`, its type by the name that Postgres' format_type gives it. */
export interface Column {
  name: string;
  type: 'uuid' | 'double precision' | 'bigint' | 'text' | 'timestamp with time zone';
}

/** The columns of `predictions` that hold the features. */
export function sqlColumns(schema: FeatureSchema): Column[] {
  return schema.features.map(({ name, kind }) => ({
    name: name.toLowerCase(),
    type: kind === 'categorical' ? 'bigint' : 'double precision',
  }));
}

/**
 * The schema of one row: exactly the declared keys, finite numbers, whole ones for categorical features. No bounds: a
 * value outside the training range and a category never seen are legal, as they are in scikit-learn's pipeline.
 */
export function rowSchema(schema: FeatureSchema): z.ZodType<FeatureRow> {
  const shape = Object.fromEntries(
    schema.features.map(({ name, kind, description, unit }) => [
      name,
      // Said of a value of another type; zod would first ask for a number.
      (kind === 'categorical' ? z.int('a whole number') : z.number('a finite number')).meta({
        description: `${description} (${unit})`,
      }),
    ]),
  );
  return z.strictObject(shape);
}

export function exampleRow(schema: FeatureSchema): FeatureRow {
  return Object.fromEntries(schema.features.map(({ name, example }) => [name, example]));
}

/** Rows as a pipeline takes them. */
export interface FeatureRows {
  rows: number;
  /** Row-major values in the declared order. */
  features: ArrayLike<number>;
}

/** The values of rows that the schema has accepted. */
export function toFeatureRows({ features }: FeatureSchema, rows: readonly FeatureRow[]): FeatureRows {
  return {
    rows: rows.length,
    features: Float64Array.from(rows.flatMap((row) => features.map(({ name }) => row[name]!))),
  };
}
