/** Bodies at random: rows with everything that a contract takes, outermost values too, in JSON as programs write it. */
import fc from 'fast-check';
import type { Contract } from '../../src/contract/contract.ts';
import type { Feature } from '../../src/contract/features-schema.ts';
import type { Value } from '../../src/contract/values.ts';

/** Of every script; no NUL, and no half of a surrogate pair. */
export const anyText = fc
  .oneof(
    fc.string({ unit: 'grapheme', maxLength: 12 }),
    fc.string({ unit: 'binary', maxLength: 6 }),
    fc.constantFrom('', 'Śródmieście', '🐧', '"quoted"', 'back\\slash', 'a/b', '\u2028', '\ufffd', 'null', '1'),
  )
  .map((text) => text.replaceAll('\0', ''));

/** Rows that a contract takes, by feature name, the optional ones there or not. */
export function anyRowOf({ features }: Contract): fc.Arbitrary<Record<string, Value>> {
  return fc
    .tuple(...features.map((feature) => fc.tuple(fc.constant(feature), rightValueOf(feature), fc.boolean())))
    .map((values) =>
      Object.fromEntries(
        values
          .filter(([{ optional }, , isLeftOut]) => !(optional && isLeftOut))
          .map(([feature, value]) => [feature.name, value]),
      ),
    );
}

function rightValueOf(feature: Feature): fc.Arbitrary<Value> {
  const { nullable, categories: known = [], unknown } = feature;
  const right = known.length === 0 ? openValueOf(feature) : fc.constantFrom<Value>(...known);
  const value = unknown === 'refuse' ? right : fc.oneof(right, openValueOf(feature));
  return nullable ? fc.oneof({ weight: 4, arbitrary: value }, fc.constant(null)) : value;
}

function openValueOf(feature: Feature): fc.Arbitrary<Value> {
  const { minimum = -Number.MAX_VALUE, maximum = Number.MAX_VALUE } = feature;
  switch (feature.dtype) {
    case 'float64':
      return fc.double({ min: minimum, max: maximum, noNaN: true });
    case 'int64':
      return fc.maxSafeInteger().map((value) => Math.min(Math.max(value, Math.ceil(minimum)), Math.floor(maximum)));
    case 'bool':
      return fc.boolean();
    case 'string':
      return anyText.map((text) => cutTo(text, feature.max_length));
  }
}

function cutTo(text: string, bytes: number): string {
  const letters = [...text];
  while (Buffer.byteLength(letters.join('')) > bytes) letters.pop();
  return letters.join('');
}

const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 2 });
/** As programs write strings: as they are, or in ASCII, as Python, PHP and .NET do. */
const escaping = fc.constantFrom(
  (json: string) => json,
  (json: string) => json.replace(/[\u0080-\uffff]/g, escapeOf),
  (json: string) => json.replace(/[\u0080-\uffff<>&+]/g, (unit) => escapeOf(unit).toUpperCase().replace('U', 'u')),
);

const escapeOf = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** JSON of a row, its fields in any order and spacing. */
export function anyJsonOf(row: Record<string, Value>): fc.Arbitrary<string> {
  const fields = Object.entries(row);
  return fc
    .tuple(fc.shuffledSubarray(fields, { minLength: fields.length }), fc.boolean(), space, escaping)
    .map(([shuffled, inOrder, s, escaped]) => {
      const written = (inOrder ? fields : shuffled).map(
        ([key, value]) => `${s}${escaped(JSON.stringify(key))}${s}:${s}${jsonOf(value, escaped)}${s}`,
      );
      return `{${written.join(',')}}`;
    });
}

function jsonOf(value: Value, escaped: (json: string) => string): string {
  if (typeof value === 'string') return escaped(JSON.stringify(value));
  return Object.is(value, -0) ? '-0' : JSON.stringify(value);
}
