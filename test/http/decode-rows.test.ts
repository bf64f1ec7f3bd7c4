/** Bodies under any contract, read from their bytes and the general way: the same rows or the same faults. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Contract } from '../../src/contract/contract.ts';
import type { Feature } from '../../src/contract/features-schema.ts';
import { type FeatureRows, valueOfSlot } from '../../src/contract/rows.ts';
import type { Value } from '../../src/contract/values.ts';
import { createBatchDecoder, createRowDecoder, type DecodedRows } from '../../src/http/decode-rows.ts';
import { createRowReader } from '../../src/http/fast-path/json-rows.ts';
import { predictionSchemas } from '../../src/http/schemas/predictions.ts';
import { anyContract } from '../support/any-contract.ts';
import { anyJsonOf, anyRowOf } from '../support/any-json.ts';
import { contractOf, everyType } from '../support/declaration.ts';

/** How a field is called whose name is no plain one, which is not sent back. */
const UNNAMED = 'A field whose name is not repeated here';

const MAX_ROWS = 3;
/** Mutated bodies: as many as one likes by hand. */
const FUZZ_CASES = Number(process.env.FUZZ_CASES ?? 1000);

function decodersOf(contract: Contract, fastPath: boolean) {
  const { row } = predictionSchemas(contract, MAX_ROWS);
  return {
    row: createRowDecoder({ contract, row, fastPath }),
    batch: createBatchDecoder({ contract, row, maxBatchRows: MAX_ROWS, fastPath }),
  };
}

/** The rows as their values, in the declared order; -0 stays what it is. */
function valuesOf(rows: FeatureRows): Value[][] {
  const { features } = rows.contract;
  return Array.from({ length: rows.rows }, (_, row) =>
    features.map((feature, column) => valueOfSlot(feature, rows.features[row * features.length + column]!, rows)),
  );
}

function comparable(decoded: DecodedRows): unknown {
  if ('value' in decoded) return valuesOf(decoded.value);
  const { code, message, errors, errorsTruncated, rows } = decoded.error;
  return { code, message, errors, errorsTruncated, rows };
}

const sentValues = ({ names }: Contract, rows: Record<string, Value>[]) =>
  rows.map((row) => names.map((name) => (Object.hasOwn(row, name) ? row[name] : null)));

const batchOf = (rows: readonly string[]) => `{"instances":[${rows.join(',')}]}`;

/** A contract, rows that it takes, and each of them in JSON. */
const anyBatch = anyContract.chain((contract) =>
  fc.array(anyRowOf(contract), { minLength: 1, maxLength: MAX_ROWS }).chain((rows) =>
    fc.record({
      contract: fc.constant(contract),
      rows: fc.constant(rows),
      texts: fc.tuple(...rows.map((row) => anyJsonOf(row))),
    }),
  ),
);

test('rows that the contract takes are read to the bit, from their bytes as in the general way', () => {
  fc.assert(
    fc.property(anyBatch, ({ contract, rows, texts }) => {
      const [fast, plain] = [decodersOf(contract, true), decodersOf(contract, false)];
      for (const { row, batch } of [fast, plain]) {
        expect(comparable(row(Buffer.from(texts[0]!)))).toStrictEqual(sentValues(contract, rows.slice(0, 1)));
        expect(comparable(batch(Buffer.from(batchOf(texts))))).toStrictEqual(sentValues(contract, rows));
      }
    }),
    { numRuns: 300 },
  );
});

test('what programs write is read from the bytes, but for a text with U+FFFD, or one that is long only for its escapes', () => {
  let read = 0;
  fc.assert(
    fc.property(anyBatch, ({ contract, rows, texts }) => {
      const gaveUp = createRowReader(contract, MAX_ROWS).readInstances(Buffer.from(batchOf(texts))) === undefined;
      if (!gaveUp) read++;
      const longest = Math.max(...texts.map(({ length }) => length));
      const isShort = contract.features.every(({ dtype, max_length }) => dtype !== 'string' || max_length > longest);
      if (isShort && !JSON.stringify([contract.names, rows]).includes('\ufffd')) expect(gaveUp).toBe(false);
    }),
    { numRuns: 1000 },
  );
  expect(read).toBeGreaterThan(500);
});

/** Bytes that matter in JSON, and any other. */
const byte = fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]:,"\\ \t\n\r0123456789-+.eEnultrfas')));
const change = fc.record({ at: fc.nat(), removed: fc.nat(3), added: fc.array(byte, { maxLength: 3 }) });
const changed = (text: string) =>
  fc.array(change, { maxLength: 3 }).map((changes) =>
    changes.reduce((body, { at, removed, added }) => {
      const place = at % (body.length + 1);
      return Buffer.concat([body.subarray(0, place), Buffer.from(added), body.subarray(place + removed)]);
    }, Buffer.from(text)),
  );

test('any bytes are read as in the general way, or refused with the same faults', () => {
  const bodies = anyBatch.chain(({ contract, texts }) =>
    fc.record({ contract: fc.constant(contract), one: changed(texts[0]!), many: changed(batchOf(texts)) }),
  );
  const taken = { fast: 0, refused: 0 };
  fc.assert(
    fc.property(bodies, ({ contract, one, many }) => {
      const [fast, plain] = [decodersOf(contract, true), decodersOf(contract, false)];
      expect(comparable(fast.row(one))).toStrictEqual(comparable(plain.row(one)));
      const general = plain.batch(many);
      expect(comparable(fast.batch(many))).toStrictEqual(comparable(general));
      if ('error' in general) taken.refused++;
      if (createRowReader(contract, MAX_ROWS).readInstances(many)) taken.fast++;
    }),
    { numRuns: FUZZ_CASES },
  );
  expect(Math.min(taken.fast, taken.refused)).toBeGreaterThan(FUZZ_CASES / 10);
});

/** The code of the fault of a value, by the rules and not by the schema. */
function codeOf(feature: Feature, value: unknown): string | undefined {
  const { dtype, nullable, optional, minimum = -Infinity, maximum = Infinity } = feature;
  if (value === undefined) return optional ? undefined : 'missing';
  if (value === null) return nullable ? undefined : 'invalid_type';
  if (typeof value !== { float64: 'number', int64: 'number', bool: 'boolean', string: 'string' }[dtype])
    return 'invalid_type';
  if (typeof value === 'number') {
    if (!Number.isFinite(value) || (dtype === 'int64' && !Number.isInteger(value))) return 'invalid_type';
    if (value < minimum || value > maximum || (dtype === 'int64' && Math.abs(value) >= 2 ** 53)) return 'out_of_range';
  }
  if (typeof value === 'string') {
    if (new TextEncoder().encode(value).length > feature.max_length) return 'out_of_range';
    if (/\0|\p{Surrogate}/u.test(value)) return 'invalid';
  }
  const isKnown = feature.unknown === 'accept' || feature.categories!.some((category) => category === value);
  return isKnown ? undefined : 'unknown_category';
}

const anyValue = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, 1, 1.5, -7, 1e300, -1e300, 2 ** 53, '', '12', 'true', 'a\0', '\ud83d'),
  fc.constantFrom<unknown>([], {}, [1], { a: 1 }, 'x'.repeat(1025), 'ż'.repeat(513), 9007199254740991),
);

test('every faulty value has its code and its pointer, in the declared order', () => {
  const bodies = anyContract.chain((contract) =>
    fc.record({
      contract: fc.constant(contract),
      row: anyRowOf(contract),
      wrong: fc.dictionary(fc.constantFrom(...contract.names), anyValue, { noNullPrototype: true }),
      missing: fc.subarray([...contract.names]),
    }),
  );
  const codes = new Set<string | undefined>();
  fc.assert(
    fc.property(bodies, ({ contract, row, wrong, missing }) => {
      const sent = Object.fromEntries(Object.entries({ ...row, ...wrong }).filter(([name]) => !missing.includes(name)));
      const expected = contract.features
        .map((feature) => ({
          pointer: `/${feature.name.replaceAll('~', '~0').replaceAll('/', '~1')}`,
          code: codeOf(feature, Object.hasOwn(sent, feature.name) ? sent[feature.name] : undefined),
        }))
        .filter(({ code }) => code !== undefined);
      for (const { code } of expected) codes.add(code);
      for (const fastPath of [true, false]) {
        const decoded = decodersOf(contract, fastPath).row(Buffer.from(JSON.stringify(sent)));
        const errors = 'error' in decoded ? decoded.error.errors! : [];
        expect(errors.map(({ pointer, code }) => ({ pointer, code }))).toEqual(expected);
      }
    }),
    { numRuns: 400 },
  );
  expect([...codes].sort()).toEqual(['invalid', 'invalid_type', 'missing', 'out_of_range', 'unknown_category']);
});

const home = {
  size: 71.5,
  'Rooms (total)': 3,
  floor: 2,
  lift: true,
  garden: null,
  district: 'Wola',
  heating: 'gas',
  'remark/~': 'quiet',
  select: 1,
};

describe.each([true, false])('a row of every type, read from its bytes: %s', (fastPath) => {
  const { row, batch } = decodersOf(everyType, fastPath);
  const read = (body: unknown) => row(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));
  function faultsOf(body: unknown) {
    const decoded = read(body);
    return 'error' in decoded ? decoded.error.errors! : [];
  }

  test('takes whole numbers in any spelling, null where it may be, and nothing where it may be left out', () => {
    const { 'remark/~': _remark, select: _select, ...rest } = home;
    const body = JSON.stringify({ ...rest, 'Rooms (total)': 4, heating: null }).replace(':4,', ':4.0,');
    expect(comparable(read(body))).toEqual([[71.5, 4, 2, true, null, 'Wola', null, null, null]]);
  });

  test('takes texts of no declared category where that is accepted, and an identical one as the same', () => {
    const rows = [home, { ...home, district: 'Ochota' }, { ...home, district: 'Ochota', 'remark/~': 'Żółw 🐢' }];
    const decoded = batch(Buffer.from(JSON.stringify({ instances: rows })));
    expect(comparable(decoded)).toEqual(rows.map((one) => Object.values(one)));
    expect('value' in decoded && decoded.value.texts).toEqual(['quiet', 'Ochota', 'Żółw 🐢']);
  });

  test.each<[object, string, string, string]>([
    [{ size: undefined }, '/size', 'missing', 'This field is required: send a finite number.'],
    [{ district: undefined }, '/district', 'missing', 'This field is required: send a string.'],
    [{ floor: undefined }, '/floor', 'missing', 'This field is required: send a whole number or null.'],
    [{ size: null }, '/size', 'invalid_type', 'Send a finite number.'],
    [{ size: '12' }, '/size', 'invalid_type', 'Send a finite number.'],
    [{ size: -0.5 }, '/size', 'out_of_range', 'Send a number of at least 0.'],
    [{ size: 1e7 }, '/size', 'out_of_range', 'Send a number of at most 1000000.'],
    [{ 'Rooms (total)': 1.5 }, '/Rooms (total)', 'invalid_type', 'Send a whole number or null.'],
    [{ floor: 2 ** 53 }, '/floor', 'out_of_range', 'Send a number of at most 9007199254740991.'],
    [{ lift: 1 }, '/lift', 'invalid_type', 'Send true or false.'],
    [{ garden: 'true' }, '/garden', 'invalid_type', 'Send true or false or null.'],
    [{ district: 7 }, '/district', 'invalid_type', 'Send a string.'],
    [{ heating: 'coal' }, '/heating', 'unknown_category', 'Send one of the declared categories: "gas", "district".'],
    [{ heating: 'none' }, '/heating', 'unknown_category', 'Send one of the declared categories: "gas", "district".'],
    [{ 'remark/~': null }, '/remark~1~0', 'invalid_type', 'Send a string.'],
    [{ 'remark/~': 'ż'.repeat(101) }, '/remark~1~0', 'out_of_range', 'Send a text of at most 200 bytes in UTF-8.'],
    [{ district: 'a\0b' }, '/district', 'invalid', 'Send a text without NUL and without half of a surrogate pair.'],
    [{ district: '\ud83d' }, '/district', 'invalid', 'Send a text without NUL and without half of a surrogate pair.'],
    [{ floors: 1 }, '/floors', 'unknown_field', unknown('floor')],
    [{ DISTRICT: 'x' }, '/DISTRICT', 'unknown_field', unknown('district')],
    [{ 'rooms (total)': 1 }, '', 'unknown_field', unknown('Rooms (total)', UNNAMED)],
    [{ 'Rooms (': 1 }, '', 'unknown_field', unknown('Rooms (total)', UNNAMED)],
    [{ Rooms: 1 }, '/Rooms', 'unknown_field', unknown('Rooms (total)')],
    [{ Größe: 1 }, '', 'unknown_field', `${UNNAMED} is not declared. Remove it or correct its name.`],
    [{ colour: 1 }, '/colour', 'unknown_field', 'This field is not declared. Remove it or correct its name.'],
  ])('refuses %j at %s as %s', (change, pointer, code, message) => {
    expect(faultsOf({ ...home, ...change })).toEqual([{ pointer, code, message }]);
  });

  test('refuses a field that is there twice, whatever its name', () => {
    const message = 'This field is there more than once. Send it once.';
    const body = JSON.stringify(home);
    expect(faultsOf(body.replace('{', '{"remark/~":"x",'))).toEqual([
      { pointer: '/remark~1~0', code: 'duplicate_field', message },
    ]);
    expect(faultsOf(body.replace('{', '{"\\u0073ize":1,'))).toEqual([
      { pointer: '/size', code: 'duplicate_field', message },
    ]);
  });
});

function unknown(meant: string, which = 'This field'): string {
  return `${which} is not declared: did you mean ${meant}? Correct its name or remove it.`;
}

test('the name of a field that is missing is likelier meant than of one that is there', () => {
  const petals = contractOf([
    { name: 'petal_length', dtype: 'float64' },
    { name: 'sepal_length', dtype: 'float64' },
  ]);
  const { row } = decodersOf(petals, true);
  const decoded = row(Buffer.from('{"petal_length":1,"zepal_length":1}'));
  expect('error' in decoded && decoded.error.errors).toContainEqual(
    expect.objectContaining({ pointer: '/zepal_length', message: unknown('sepal_length') }),
  );
});

test('names at most ten categories, none of them at length, and not what was sent', () => {
  const categories = Array.from({ length: 10_000 }, (_, i) => `${i} ${'long '.repeat(50)}`);
  const many = contractOf([{ name: 'kind', dtype: 'string', categories, unknown: 'refuse' }]);
  const decoded = decodersOf(many, true).row(Buffer.from('{"kind":"secret"}'));
  const [fault] = ('error' in decoded && decoded.error.errors) || [];
  expect(fault).toMatchObject({ pointer: '/kind', code: 'unknown_category' });
  expect(fault!.message).toMatch(/^Send one of the declared categories: "0 long .* and 9990 more\.$/);
  expect(fault!.message.length).toBeLessThan(1000);
  expect(fault!.message).not.toContain('secret');
});

test('the instances of a batch are asked for by their name, and rows beside them as what they are', () => {
  const { row, batch } = decodersOf(everyType, true);
  const told = (decoded: DecodedRows) => ('error' in decoded ? decoded.error.errors : undefined);
  expect(told(batch(Buffer.from('{"instance":[]}')))).toEqual([
    { pointer: '/instances', code: 'missing', message: 'This field is required: send a JSON array.' },
    { pointer: '/instance', code: 'unknown_field', message: unknown('instances') },
  ]);
  expect(told(row(Buffer.from(batchOf([JSON.stringify(home)]))))).toEqual([
    { pointer: '/instances', code: 'unknown_field', message: expect.stringContaining('POST /predict/batch') },
  ]);
});
