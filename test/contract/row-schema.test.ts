import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { rowSchema } from '../../src/contract/row-schema.ts';
import { exampleRow } from '../../src/contract/rows.ts';
import { housing } from '../../src/housing/features.ts';
import { anyContract } from '../support/any-contract.ts';
import { contractOf, everyType } from '../support/declaration.ts';

/** As the documentation has it: written as JSON, which leaves out what is undefined. */
const shown = (...of: Parameters<typeof rowSchema>) => JSON.parse(JSON.stringify(z.toJSONSchema(rowSchema(...of))));

test('the example of any contract is a row that it takes', () => {
  fc.assert(
    fc.property(anyContract, (contract) => {
      expect(rowSchema(contract).safeParse(exampleRow(contract)).error?.issues).toBeUndefined();
    }),
  );
});

test.each([
  [{ minimum: 0.5 }, 1],
  [{ maximum: -0.5 }, -1],
  [{ minimum: -3, maximum: 3 }, 0],
  [{ minimum: 7, maximum: 7 }, 7],
])('the example of a whole number within %j is %d', (limits, example) => {
  expect(exampleRow(contractOf([{ name: 'a', dtype: 'int64', ...limits }]))).toEqual({ a: example });
});

describe('OpenAPI', () => {
  test('says of every type what may be sent', () => {
    const whole = { minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };
    const { properties, required, additionalProperties } = shown(everyType);
    expect(properties).toEqual({
      size: { type: 'number', description: 'In m2', minimum: 0, maximum: 1e6, examples: [71.5] },
      'Rooms (total)': { type: ['integer', 'null'], ...whole, examples: [3] },
      floor: { type: ['integer', 'null'], ...whole },
      lift: { type: 'boolean' },
      garden: { type: ['boolean', 'null'] },
      district: { type: 'string', maxLength: 1024, examples: ['Wola', 'Mokotów', 'Śródmieście'] },
      heating: { type: ['string', 'null'], maxLength: 1024, enum: ['gas', 'district', null] },
      'remark/~': { type: 'string', maxLength: 200 },
      select: { type: 'number' },
    });
    expect(required).toEqual(['size', 'Rooms (total)', 'floor', 'lift', 'garden', 'district', 'heating']);
    expect(additionalProperties).toBe(false);
  });

  test('lists no thousands of categories, open or closed', () => {
    const categories = Array.from({ length: 10_000 }, (_, i) => i);
    const of = (unknown: string) =>
      shown(contractOf([{ name: 'zip', dtype: 'int64', kind: 'categorical', categories, unknown, unit: 'code' }]));
    expect(of('accept').properties.zip).toMatchObject({ description: 'In code', examples: categories.slice(0, 10) });
    expect(of('refuse').properties.zip).toMatchObject({
      description: 'In code. One of 10000 declared categories',
      examples: categories.slice(0, 10),
    });
    expect(of('refuse').properties.zip).not.toHaveProperty('enum');
  });

  test('has the descriptions of housing with their units', () => {
    expect(shown(housing).properties.CHAS).toEqual({
      type: 'integer',
      description: 'Tract bounds the Charles River (1 yes, 0 no)',
      minimum: Number.MIN_SAFE_INTEGER,
      maximum: Number.MAX_SAFE_INTEGER,
      examples: [0],
    });
    expect(shown(housing).required).toEqual(housing.names);
  });
});
