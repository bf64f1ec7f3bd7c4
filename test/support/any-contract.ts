/** Declarations and rows at random, of every type and with everything that may be declared, for property tests. */
import fc from 'fast-check';
import { type Contract, mayBeMissing } from '../../src/contract/contract.ts';
import type { Feature } from '../../src/contract/features-schema.ts';
import type { Value } from '../../src/contract/values.ts';
import { contractOf } from './declaration.ts';

/** Texts of every script, as callers may send them. */
const text = fc
  .oneof(
    fc.string({ unit: 'grapheme', maxLength: 12 }),
    fc.constantFrom('', ' ', 'none', 'NaN', 'null', '🐧', '__proto__'),
  )
  .filter((value) => !value.includes('\0') && value.isWellFormed());
const name = fc
  .oneof(
    fc.stringMatching(/^[a-z][a-z ()/~]{0,8}$/),
    text,
    fc.constantFrom('A', 'AB', 'a', 'constructor', 'toString', 'instances', '"é\\'),
  )
  .filter((value) => !['', '__proto__', 'base_value'].includes(value) && [...value].every((sign) => sign >= ' '));
/** Of a size that sums of a few hundred of them keep to the last bit, nearly. */
const number = fc.integer({ min: -8000, max: 8000 }).map((value) => value / 8);
const wholeNumber = fc.integer({ min: -40, max: 40 });
/** Around all of these. */
const limits = fc.constantFrom<object>({}, { minimum: -1000 }, { maximum: 1e6 }, { minimum: -1000.5, maximum: 1000.5 });

const presence = fc.constantFrom({}, { nullable: true }, { optional: true }, { nullable: true, optional: true });
const isAbsent = (feature: object) => 'nullable' in feature || 'optional' in feature;

/** A feature as a file has it: a type, whether it may be missing, perhaps what null is then, perhaps its categories. */
function featureOf(dtype: Feature['dtype'], values: fc.Arbitrary<unknown>, more: fc.Arbitrary<object>) {
  return fc
    .record({ presence, null_as: fc.option(values, { nil: undefined }), more })
    .map(({ presence, null_as, more }) => ({
      dtype,
      ...presence,
      ...more,
      ...(null_as !== undefined && isAbsent(presence) && { null_as }),
    }));
}

function categoriesOf(values: fc.Arbitrary<unknown>) {
  return fc
    .record({
      categories: fc.uniqueArray(values, { minLength: 1, maxLength: 5 }),
      unknown: fc.constantFrom('accept', 'refuse'),
    })
    .map((declared) => ({ kind: 'categorical', ...declared }));
}

const feature = fc.oneof(
  featureOf('float64', number, limits),
  featureOf('int64', wholeNumber, limits),
  featureOf('int64', wholeNumber, fc.constant({ kind: 'categorical' })),
  featureOf('int64', wholeNumber, categoriesOf(wholeNumber)),
  featureOf('bool', fc.boolean(), fc.constant({})),
  featureOf('string', text, categoriesOf(text)),
  featureOf('string', text, fc.constantFrom({}, { max_length: 500 })),
);

/** A contract of one to seven features. */
export const anyContract: fc.Arbitrary<Contract> = fc
  .uniqueArray(fc.tuple(name, feature), { minLength: 1, maxLength: 7, selector: ([name]) => name })
  .map((features) => contractOf(features.map(([name, declared]) => ({ name, ...declared }))));

/** A row of values that callers may send, in the declared order. */
export function anyRow({ features }: Contract): fc.Arbitrary<Value[]> {
  return fc.tuple(...features.map(anyValue));
}

function anyValue(feature: Feature): fc.Arbitrary<Value> {
  const { dtype, categories, unknown } = feature;
  const any: fc.Arbitrary<Value> = { float64: number, int64: wholeNumber, bool: fc.boolean(), string: text }[dtype];
  const known = categories ? [fc.constantFrom(...categories)] : [];
  const choices = unknown === 'refuse' ? known : [any, ...known];
  return fc.oneof(...choices, ...(mayBeMissing(feature) ? [fc.constant(null)] : []));
}
