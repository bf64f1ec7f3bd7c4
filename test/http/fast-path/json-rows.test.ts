/** The reader against the general way: what it takes, JSON.parse and the schema must take with the same values. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rowSchema } from '../../../src/contract/row-schema.ts';
import type { FeatureRow } from '../../../src/contract/rows.ts';
import { createRowReader } from '../../../src/http/fast-path/json-rows.ts';
import { contractOf } from '../../support/declaration.ts';

/** One name begins with another, and one needs escapes. */
const contract = contractOf([
  { name: 'A', dtype: 'float64' },
  { name: 'AB', dtype: 'int64', kind: 'categorical' },
  { name: '"é\\', dtype: 'float64' },
]);
const names = [...contract.names];
const MAX_ROWS = 4;
const reader = createRowReader(contract, MAX_ROWS);
const row = rowSchema(contract);

/** What the general way makes of a body: the values of its rows, or undefined when it refuses it. */
function parsed(text: string, rowsOf: (body: unknown) => unknown): number[] | undefined {
  try {
    const rows = rowsOf(JSON.parse(text));
    if (!Array.isArray(rows) || rows.length < 1 || rows.length > MAX_ROWS) return undefined;
    return rows.flatMap((values) => {
      const accepted = row.parse(values) as FeatureRow;
      return names.map((name) => Number(accepted[name]));
    });
  } catch {
    return undefined;
  }
}

const bytes = (text: string) => Buffer.from(text);
const readRow = (text: string) => reader.readRow(bytes(text));
const readInstances = (text: string) => reader.readInstances(bytes(text));
const instancesOf = (body: unknown) => {
  const { instances, ...rest } = body as { instances: unknown };
  return Object.keys(rest).length === 0 ? instances : undefined;
};

/** A number as programs write it: the shortest text, an exponent, more digits than needed. */
const numberText = fc
  .record({ value: fc.double({ noDefaultInfinity: true, noNaN: true }), form: fc.nat(5), digits: fc.nat(20) })
  .map(({ value, form, digits }) => {
    if (form === 0) return value.toExponential(digits);
    if (form === 1) return value.toExponential(digits).toUpperCase().replace('+', '');
    if (form === 2) return (value % 1e6).toFixed(digits);
    if (form === 3) return value.toPrecision(digits + 1);
    if (form === 4) return String(Math.round((value % 1e6) * 1e4) / 1e4);
    return Object.is(value, -0) ? '-0' : String(value);
  })
  // The largest doubles are rounded up past the largest.
  .filter((text) => Number.isFinite(Number(text)));
const wholeText = fc
  .tuple(fc.maxSafeInteger(), fc.constantFrom('', '.0', '.000', 'e0'))
  .map(([value, end]) => value + end);
const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 3 });

const rowText = fc
  .record({
    A: numberText,
    AB: wholeText,
    '"é\\': numberText,
    order: fc.shuffledSubarray(names, { minLength: 3 }),
    space,
  })
  .map(({ order, space: s, ...texts }) => {
    const fields = order.map((name) => `${s}${JSON.stringify(name)}${s}:${s}${texts[name as keyof typeof texts]}${s}`);
    return `{${fields.join(',')}}`;
  });
const batchText = fc
  .tuple(fc.array(rowText, { minLength: 1, maxLength: MAX_ROWS }), space)
  .map(([rows, s]) => `${s}{${s}"instances"${s}:${s}[${s}${rows.join(`${s},${s}`)}${s}]${s}}${s}`);

/** Bytes that matter in JSON, put in, taken out or put in the place of another. */
const change = fc.record({
  at: fc.nat(),
  removed: fc.nat(2),
  added: fc.constantFrom(
    '',
    '0',
    '1',
    '9',
    '-',
    '+',
    '.',
    'e',
    '"',
    ',',
    ':',
    '{',
    '}',
    '[',
    ']',
    ' ',
    '\0',
    'A',
    'é',
    'null',
  ),
});
const changed = (text: fc.Arbitrary<string>) =>
  fc.tuple(text, fc.array(change, { maxLength: 3 })).map(([original, changes]) =>
    changes.reduce((current, { at, removed, added }) => {
      const place = at % (current.length + 1);
      return current.slice(0, place) + added + current.slice(place + removed);
    }, original),
  );

/** A check of a row that shares nothing with the schema: exactly the names, finite numbers, whole ones for categories. */
function valuesOf(row: unknown): number[] | undefined {
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return undefined;
  const entries = Object.entries(row);
  if (entries.length !== names.length) return undefined;
  const values = contract.features.map(({ name, kind }) => {
    const [, value] = entries.find(([key]) => key === name) ?? [];
    if (typeof value !== 'number' || value - value !== 0) return undefined;
    return kind === 'categorical' && !Number.isSafeInteger(value) ? undefined : value;
  });
  return values.includes(undefined) ? undefined : (values as number[]);
}

/** What bytes say, strictly: one row, or the rows of `instances`; undefined where they say anything else. */
function strictly(body: Buffer): { row: number[] | undefined; instances: number[] | undefined } {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body));
  } catch {
    return { row: undefined, instances: undefined };
  }
  const isBatch = typeof value === 'object' && value !== null && Object.keys(value).join() === 'instances';
  const rows = isBatch ? (value as { instances: unknown }).instances : undefined;
  const all = Array.isArray(rows) && rows.length >= 1 && rows.length <= MAX_ROWS ? rows.map(valuesOf) : [undefined];
  return { row: valuesOf(value), instances: all.includes(undefined) ? undefined : (all.flat() as number[]) };
}

const bitsOf = (values: ArrayLike<number>) => Buffer.from(Float64Array.from(values).buffer).toString('hex');

/** Cases of the differential test: a few thousand with every change, as many as one likes by hand. */
const FUZZ_CASES = Number(process.env.FUZZ_CASES ?? 5_000);
const FUZZ_SEED = Number(process.env.FUZZ_SEED ?? 20_261_126);

/** What replaces a byte: any byte, and more often those that mean something in JSON. */
const byte = fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]:,"\\ \t\n\r0123456789-+.eE')));
const mutatedBytes = (text: fc.Arbitrary<string>) =>
  fc
    .tuple(
      text,
      fc.array(fc.record({ at: fc.nat(), removed: fc.nat(3), added: fc.array(byte, { maxLength: 3 }) }), {
        maxLength: 3,
      }),
    )
    .map(([original, changes]) =>
      changes.reduce((body, { at, removed, added }) => {
        const place = at % (body.length + 1);
        return Buffer.concat([body.subarray(0, place), Buffer.from(added), body.subarray(place + removed)]);
      }, Buffer.from(original)),
    );

test(`agrees to the bit with JSON.parse and a strict check on ${FUZZ_CASES} generated and mutated bodies`, () => {
  let taken = 0;
  const agrees = (read: { features: ArrayLike<number> } | undefined, expected: number[] | undefined) => {
    if (!read) return;
    taken++;
    expect(expected && bitsOf(expected)).toBe(bitsOf(read.features));
  };
  fc.assert(
    fc.property(fc.oneof(mutatedBytes(rowText), mutatedBytes(batchText)), (body) => {
      const expected = strictly(body);
      agrees(reader.readRow(body), expected.row);
      agrees(reader.readInstances(body), expected.instances);
    }),
    { numRuns: FUZZ_CASES, seed: FUZZ_SEED },
  );
  expect(taken).toBeGreaterThan(FUZZ_CASES / 10);
});

describe('the row reader', () => {
  test('reads a row as JSON.parse does, to the bit, in any order and spacing', () => {
    fc.assert(
      fc.property(rowText, space, (text, s) => {
        const read = readRow(s + text + s);
        expect(read?.rows).toBe(1);
        expect(read?.features).toStrictEqual(parsed(text, (body) => [body]));
      }),
      { numRuns: 2000 },
    );
  });

  test('reads the rows of a batch as JSON.parse does', () => {
    fc.assert(
      fc.property(batchText, (text) => {
        const read = readInstances(text)!;
        expect(Array.from(read.features)).toStrictEqual(parsed(text, instancesOf));
        expect(read.rows).toBe(read.features.length / names.length);
      }),
      { numRuns: 1000 },
    );
  });

  test('takes nothing that the general way refuses or reads otherwise', () => {
    let taken = 0;
    const agrees = (read: { features: ArrayLike<number> } | undefined, expected: number[] | undefined) => {
      if (read) expect(Array.from(read.features)).toStrictEqual(expected);
      if (read) taken++;
    };
    fc.assert(
      fc.property(changed(rowText), changed(batchText), (one, many) => {
        agrees(
          readRow(one),
          parsed(one, (body) => [body]),
        );
        agrees(readInstances(many), parsed(many, instancesOf));
      }),
      { numRuns: 5000 },
    );
    expect(taken).toBeGreaterThan(1000);
  });

  test.each([
    ['a leading zero', '01'],
    ['a sign alone', '-'],
    ['a plus', '+1'],
    ['no digit before the point', '.5'],
    ['no digit behind the point', '5.'],
    ['no digit in the exponent', '5e'],
    ['a sign without digits in the exponent', '5e+'],
    ['hexadecimal', '0x10'],
    ['a grouped number', '1_000'],
    ['NaN', 'NaN'],
    ['Infinity', '-Infinity'],
    ['a number past the largest', '1e309'],
    ['null', 'null'],
    ['a string', '"1"'],
    ['nothing', ''],
  ])('gives up on %s', (_name, text) => {
    const body = (value: string) => `{"A":${value},"AB":1,"\\"é\\\\":2}`;
    expect(readRow(body('1'))).toBeDefined();
    expect(readRow(body(text))).toBeUndefined();
  });

  test.each([
    ['a name twice', '{"A":1,"A":1,"AB":1,"\\"é\\\\":2}'],
    ['a name twice and another missing', '{"A":1,"A":1,"\\"é\\\\":2}'],
    ['a missing name', '{"A":1,"AB":1}'],
    ['a name too many', '{"A":1,"AB":1,"\\"é\\\\":2,"C":3}'],
    ['a category that is not whole', '{"A":1,"AB":1.5,"\\"é\\\\":2}'],
    ['a category past 2^53', '{"A":1,"AB":9007199254740992,"\\"é\\\\":2}'],
    ['a comma at the end', '{"A":1,"AB":1,"\\"é\\\\":2,}'],
    ['a second row', '{"A":1,"AB":1,"\\"é\\\\":2}{}'],
    ['an end that is not there', '{"A":1,"AB":1,"\\"é\\\\":2'],
    ['a byte order mark', '\uFEFF{"A":1,"AB":1,"\\"é\\\\":2}'],
    ['an empty object', '{}'],
    ['nothing', ''],
    ['space', ' '],
  ])('gives up on a row with %s, alone and in a batch', (_name, text) => {
    expect(readRow(text)).toBeUndefined();
    expect(readInstances(`{"instances":[${text}]}`)).toBeUndefined();
  });

  test.each(['951437.7838193977', '93562075.10826805', '9681545905.875633'])(
    'does not compute %s from its digits, a whole number past 2^53',
    (text) => {
      expect(readRow(`{"A":${text},"AB":1,"\\"é\\\\":2}`)?.features).toEqual([Number(text), 1, 2]);
    },
  );

  test('gives up on more rows than it may take, and on none', () => {
    const batch = (rows: number) => `{"instances":[${Array(rows).fill('{"A":1,"AB":1,"\\"é\\\\":2}')}]}`;
    expect([0, 1, MAX_ROWS, MAX_ROWS + 1].map((rows) => readInstances(batch(rows))?.rows)).toEqual([
      undefined,
      1,
      MAX_ROWS,
      undefined,
    ]);
  });

  test('forgets the texts of a body with it, whether it was read or given up', () => {
    const heating = contractOf([{ name: 'heating', dtype: 'string', categories: ['gas'] }]);
    const { readRow: readOne, readInstances: readMany } = createRowReader(heating, MAX_ROWS);
    const row = (text: string) => `{"heating":"${text}"}`;
    expect(readMany(bytes(`{"instances":[${['gas', 'coal', 'wood', 'coal'].map(row)}]}`))).toMatchObject({
      features: Float64Array.of(0, 1, 2, 1),
      texts: ['coal', 'wood'],
    });
    expect(readMany(bytes(`{"instances":[${row('peat')},{}]}`))).toBeUndefined();
    expect(readOne(bytes(row('oil')))).toMatchObject({ features: [1], texts: ['oil'] });
    expect(readOne(bytes(row('gas')))).toStrictEqual({ contract: heating, rows: 1, features: [0] });
  });

  test('hands out rows that the next body does not change', () => {
    const batch = (value: number) => `{"instances":[{"A":${value},"AB":1,"\\"é\\\\":2}]}`;
    const first = readInstances(batch(1))!;
    readInstances(batch(2));
    expect(Array.from(first.features)).toEqual([1, 1, 2]);
  });
});
