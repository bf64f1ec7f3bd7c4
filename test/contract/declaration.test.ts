import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { createContract } from '../../src/contract/contract.ts';
import { parseDeclaration } from '../../src/contract/declaration.ts';
import { featuresFile } from '../../src/contract/features-schema.ts';
import { RidgelineError } from '../../src/errors.ts';
import { housing } from '../../src/housing/features.ts';
import { contractOf, everyType } from '../support/declaration.ts';

const root = join(import.meta.dirname, '../..');
const file = (...features: object[]) => ({ name: 'test', features, output: { task: 'regression' } });

function refusalOf(json: unknown): string {
  try {
    parseDeclaration(json);
  } catch (error) {
    expect(error).toBeInstanceOf(RidgelineError);
    expect((error as RidgelineError).code).toBe('declaration');
    return (error as RidgelineError).message;
  }
  throw new Error('The declaration was accepted.');
}

test('the least that a file may say is filled in', () => {
  expect(parseDeclaration(file({ name: 'Flipper Length (mm)', dtype: 'float64' }))).toEqual({
    name: 'test',
    features: [
      {
        name: 'Flipper Length (mm)',
        dtype: 'float64',
        kind: 'numerical',
        nullable: false,
        optional: false,
        unknown: 'accept',
        max_length: 1024,
        column: 'flipper_length_mm',
      },
    ],
    output: { task: 'regression', name: 'prediction' },
  });
});

test.each([
  ['float64', 'numerical'],
  ['int64', 'numerical'],
  ['bool', 'categorical'],
  ['string', 'categorical'],
] as const)('a %s is %s unless the file says otherwise', (dtype, kind) => {
  expect(contractOf([{ name: 'a', dtype }]).features[0]!.kind).toBe(kind);
});

test.each([housing, everyType])(
  'what has been parsed is parsed to the same again, whatever the order of its keys',
  ({ declaration, text }) => {
    const reversed = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(reversed);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, part]) => [key, reversed(part)]),
      );
    };
    expect(createContract(parseDeclaration(reversed(JSON.parse(text)))).text).toBe(text);
    expect(parseDeclaration(JSON.parse(JSON.stringify(declaration)))).toEqual(declaration);
  },
);

describe('a declaration is refused, with the place and what to do', () => {
  test.each([
    ['nothing', undefined, 'The file: '],
    ['no features', { name: 'test', features: [], output: { task: 'regression' } }, 'features: '],
    ['a type that is none', file({ name: 'a', dtype: 'decimal' }), 'features[0].dtype: '],
    [
      'a key of a later version',
      file({ name: 'a', dtype: 'float64', input: 'x' }),
      'input is not known to this version',
    ],
    ['another task', { ...file({ name: 'a', dtype: 'bool' }), output: { task: 'classification' } }, 'output.task: '],
    [
      'a name twice',
      file({ name: 'a', dtype: 'bool' }, { name: 'a', dtype: 'bool', column: 'b' }),
      'The name a is there twice',
    ],
    [
      'a column twice',
      file({ name: 'a', dtype: 'bool', column: 'c' }, { name: 'b', dtype: 'bool', column: 'c' }),
      'The column c is',
    ],
    [
      'a column of ours',
      file({ name: 'a', dtype: 'bool', column: 'created_at' }),
      'a: the column created_at is not free',
    ],
    ['a name that JavaScript knows', file({ name: '__proto__', dtype: 'bool' }), 'the name is not free'],
    ['base_value', file({ name: 'base_value', dtype: 'float64' }), 'the name is not free'],
    ['a control character', file({ name: 'a\nb', dtype: 'float64' }), 'features[0].name: '],
    ['half of a character', file({ name: 'a\ud800', dtype: 'float64' }), 'the name is not'],
    ['a text to be scaled', file({ name: 'a', dtype: 'string', kind: 'numerical' }), 'a: string cannot be scaled'],
    ['fractions as categories', file({ name: 'a', dtype: 'float64', kind: 'categorical' }), 'declare int64'],
    [
      'null_as of another type',
      file({ name: 'a', dtype: 'int64', nullable: true, null_as: 'x' }),
      'null_as is not of its dtype, int64',
    ],
    ['null_as without null', file({ name: 'a', dtype: 'int64', null_as: 1 }), 'null_as needs nullable or optional'],
    [
      'categories of another type',
      file({ name: 'a', dtype: 'string', categories: ['x', 1] }),
      'categories must be of its dtype, string',
    ],
    ['a category twice', file({ name: 'a', dtype: 'string', categories: ['x', 'x'] }), 'a category is there twice'],
    [
      'an example with half of a character',
      file({ name: 'a', dtype: 'string', example: 'x\ud800' }),
      'half of a character',
    ],
    ['a unit with a NUL', file({ name: 'a', dtype: 'float64', unit: 'm\0' }), 'features[0].unit: holds a NUL'],
    ['a category with a NUL', file({ name: 'a', dtype: 'string', categories: ['x\0'] }), 'NUL'],
    [
      'closed categories without any',
      file({ name: 'a', dtype: 'string', unknown: 'refuse' }),
      'unknown: refuse needs categories',
    ],
    [
      'limits the wrong way round',
      file({ name: 'a', dtype: 'float64', minimum: 2, maximum: 1 }),
      'minimum is above maximum',
    ],
    ['limits of a text', file({ name: 'a', dtype: 'string', minimum: 2 }), 'are for numbers'],
    ['an example of another type', file({ name: 'a', dtype: 'int64', example: 1.5 }), 'the example'],
    ['an example below the minimum', file({ name: 'a', dtype: 'int64', minimum: 2, example: 1 }), 'the example'],
    ['an example that is too long', file({ name: 'a', dtype: 'string', max_length: 3, example: 'żż' }), 'the example'],
    [
      'an example beyond closed categories',
      file({ name: 'a', dtype: 'string', categories: ['b'], unknown: 'refuse', example: 'c' }),
      'the example',
    ],
  ])('%s', (_, json, message) => {
    expect(refusalOf(json)).toContain(message);
  });
});

describe('columns', () => {
  const columnsOf = (...names: string[]) =>
    contractOf(names.map((name) => ({ name, dtype: 'float64' }))).columns.map(({ name }) => name);

  test('have readable names, none of which is taken by us or by Postgres', () => {
    expect(columnsOf('CRIM', 'Delta 15 N (o/oo)', 'id', 'ctid', '2nd', 'Größe', 'größe', 'Grösse', '🐧')).toEqual([
      'crim',
      'delta_15_n_o_oo',
      'f_id',
      'f_ctid',
      'f_2nd',
      'gr_e',
      'gr_e_2',
      'gr_sse',
      'f_',
    ]);
  });

  test('are different and short enough for Postgres, whatever the names', () => {
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
      .filter((text) => featuresFile.shape.features.element.shape.name.safeParse(text).success && text.isWellFormed());
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 30 }), (names) => {
        fc.pre(!names.includes('base_value') && !names.includes('__proto__'));
        const columns = columnsOf(...names);
        expect(new Set(columns).size).toBe(names.length);
        for (const column of columns) expect(column).toMatch(/^[a-z_][a-z0-9_]{0,62}$/);
      }),
    );
  });

  test('that are declared are kept, and made ones keep away from them', () => {
    expect(
      contractOf([
        { name: 'Size', dtype: 'bool' },
        { name: 'b', dtype: 'bool', column: 'size' },
      ]).columns,
    ).toEqual([
      { name: 'size_2', type: 'boolean' },
      { name: 'size', type: 'boolean' },
    ]);
  });
});

test('features.schema.json is what the code reads, for editors', () => {
  const published: unknown = JSON.parse(readFileSync(join(root, 'features.schema.json'), 'utf8'));
  expect(published).toEqual(JSON.parse(JSON.stringify(z.toJSONSchema(featuresFile, { io: 'input' }))));
});
