/** The values of a row, as JSON has them. */

export type Value = number | string | boolean | null;

/** Of values other than null: as of numpy, and as ONNX names its types. */
export const dtypes = ['float64', 'int64', 'bool', 'string'] as const;
export type Dtype = (typeof dtypes)[number];

/** Whether a value is one of the type, as JSON writes it. */
export function fits(dtype: Dtype, value: unknown): boolean {
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
