import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareContracts } from '../../src/contract/compare.ts';
import { rowSchema } from '../../src/contract/row-schema.ts';
import { contractOf, everyType, wines } from '../support/declaration.ts';

const size = { name: 'size', dtype: 'float64' };
const district = { name: 'district', dtype: 'string', categories: ['Wola', 'Ochota'], unknown: 'refuse' };
const rooms = { name: 'rooms', dtype: 'int64' };
const base = [size, rooms, district];

/** What comes of replacing features by others, or of adding some. */
function changed(...features: object[]) {
  const names = features.map((one) => (one as typeof size).name);
  const others = base.filter(({ name }) => !names.includes(name));
  return compareContracts(contractOf(base), contractOf([...others, ...features]));
}

test('a contract changes nothing for its own callers, nor do words for readers and the order of features', () => {
  for (const contract of [everyType, wines]) {
    expect(compareContracts(contract, contract)).toEqual({ breaking: [], compatible: [] });
  }
  const told = base.map((one) => ({ ...one, description: 'Told at length', unit: 'm', max_length: 1024 })).reverse();
  expect(compareContracts(contractOf(base), contractOf(told))).toEqual({ breaking: [], compatible: [] });
});

describe('what breaks requests of today:', () => {
  test.each<[string, object, string]>([
    [
      'a new feature',
      { name: 'garage', dtype: 'bool' },
      'garage is new and not optional: requests without it are refused.',
    ],
    ['another type', { ...size, dtype: 'string' }, 'size is string now, and was float64.'],
    ['whole numbers alone', { ...size, dtype: 'int64' }, 'size is int64 now, and was float64.'],
    ['a minimum', { ...size, minimum: 0 }, 'size must be at least 0 now.'],
    ['a maximum', { ...rooms, maximum: 12 }, 'rooms must be at most 12 now.'],
    ['a shorter text', { ...district, max_length: 8 }, 'district must be at most 8 bytes long now.'],
    ['fewer categories', { ...district, categories: ['Wola', 'Praga'] }, 'district no longer takes "Ochota".'],
  ])('%s', (_, feature, sentence) => {
    expect(changed(feature).breaking).toEqual([sentence]);
  });

  test('a feature that is gone', () => {
    const { breaking, compatible } = compareContracts(contractOf(base), contractOf([size, district]));
    expect(breaking).toEqual(['rooms is gone: requests with it are refused.']);
    expect(compatible).toEqual([]);
  });

  test('a new feature that may be null, and must be sent', () => {
    expect(changed({ name: 'garage', dtype: 'bool', nullable: true }).breaking).toEqual([
      'garage is new and must be sent, though null is right: requests without it are refused.',
    ]);
  });

  test('another data set, in one sentence for all that goes and one for all that comes', () => {
    const { breaking } = compareContracts(
      contractOf(base),
      contractOf([
        { name: 'a', dtype: 'bool' },
        { name: 'b', dtype: 'bool' },
      ]),
    );
    expect(breaking).toEqual([
      'size, rooms, district are gone: requests with them are refused.',
      'a, b are new and not optional: requests without them are refused.',
    ]);
  });

  test('a feature by another name, which is told by its column', () => {
    const { breaking } = compareContracts(contractOf([size]), contractOf([{ name: 'Size', dtype: 'float64' }]));
    expect(breaking).toEqual([
      'size is called Size now.',
      'size is gone: requests with it are refused.',
      'Size is new and not optional: requests without it are refused.',
    ]);
  });

  test.each([
    ['nullable', 'size may no longer be null.', 'size may be null now.'],
    ['optional', 'size may no longer be left out.', 'size may be left out now.'],
  ])('one that is no longer %s', (key, breaks, widens) => {
    const [strict, loose] = [contractOf([size]), contractOf([{ ...size, [key]: true }])];
    expect(compareContracts(loose, strict)).toEqual({ breaking: [breaks], compatible: [] });
    expect(compareContracts(strict, loose)).toEqual({ breaking: [], compatible: [widens] });
  });

  test('categories that are closed', () => {
    const [open, closed] = [{ ...district, unknown: 'accept' }, district].map((one) => contractOf([one]));
    expect(compareContracts(open!, closed!).breaking).toEqual(['district takes its declared categories alone now.']);
    expect(compareContracts(closed!, open!)).toEqual({ breaking: [], compatible: ['district takes any value now.'] });
  });

  test('another target: the requests are taken, and the answers mean something else', () => {
    const { breaking } = compareContracts(contractOf(base, { name: 'price' }), contractOf(base, { name: 'rent' }));
    expect(breaking).toEqual(['rent is predicted, in the place of price.']);
  });

  test('of many categories twenty are named', () => {
    const codes = Array.from({ length: 500 }, (_, i) => `c${i}`);
    const { breaking } = compareContracts(
      contractOf([{ ...district, categories: codes }]),
      contractOf([{ ...district, categories: ['c0'] }]),
    );
    expect(breaking[0]).toMatch(/^district no longer takes "c1", .*"c20" and 479 more\.$/);
  });
});

describe('what does not:', () => {
  test.each<[string, object, string]>([
    [
      'a feature that may be left out',
      { name: 'garage', dtype: 'bool', optional: true },
      'garage is new: requests without it are right.',
    ],
    ['fractions too', { ...rooms, dtype: 'float64' }, 'rooms takes any number now, not whole ones alone.'],
    ['one more category', { ...district, categories: ['Wola', 'Ochota', 'Praga'] }, 'district takes "Praga" too.'],
    ['a longer text', { ...district, max_length: 8192 }, 'district may be longer now.'],
    ['another kind of encoding', { ...rooms, kind: 'categorical' }, 'rooms is categorical now, and was numerical.'],
  ])('%s', (_, feature, sentence) => {
    expect(changed(feature)).toEqual({ breaking: [], compatible: [sentence] });
  });

  test('wider limits', () => {
    const [narrow, wide] = [
      { ...size, minimum: 1, maximum: 2 },
      { ...size, minimum: 0, maximum: 3 },
    ].map((one) => contractOf([one]));
    expect(compareContracts(narrow!, wide!)).toEqual({
      breaking: [],
      compatible: ['size may be smaller now.', 'size may be larger now.'],
    });
    expect(compareContracts(wide!, narrow!).breaking).toHaveLength(2);
  });
});
const feature = fc
  .record({
    dtype: fc.constantFrom('float64', 'int64', 'bool', 'string'),
    nullable: fc.boolean(),
    optional: fc.boolean(),
    limits: fc.option(fc.tuple(fc.integer({ min: -3, max: 0 }), fc.integer({ min: 0, max: 3 }))),
    categories: fc.option(fc.subarray(['x', 'y', 'zz'], { minLength: 1 })),
    max_length: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ limits, categories, max_length, ...one }) => ({
    name: 'a',
    ...one,
    ...(limits && /64/.test(one.dtype) && { minimum: limits[0], maximum: limits[1] }),
    ...(one.dtype === 'string' && { max_length }),
    ...(categories && one.dtype === 'string' && { categories, unknown: 'refuse' }),
  }));
const another = fc.option(
  feature.map((one) => ({ ...one, name: 'b' })),
  { nil: undefined },
);
const values = [-4, -3, -2, -1, 0, 0.5, 1, 2, 3, 4, '', 'x', 'y', 'zz', 'www', true, false, null];
const requests = [{}, ...values.map((a) => ({ a }))];

test('whatever becomes of a feature: without a breaking change no request that was right is wrong', () => {
  let right = 0;
  fc.assert(
    fc.property(feature, feature, another, (from, to, added) => {
      const [before, after] = [[from], [to, added ?? []].flat()].map((features) => contractOf(features));
      if (compareContracts(before!, after!).breaking.length > 0) return;
      const [schemaBefore, schemaAfter] = [rowSchema(before!), rowSchema(after!)];
      const wasRight = requests.filter((one) => schemaBefore.safeParse(one).success);
      const isWrong = wasRight.filter((one) => !schemaAfter.safeParse(one).success);
      expect(isWrong).toEqual([]);
      right += wasRight.length;
    }),
    { numRuns: 3000, seed: 20_261_126 },
  );
  expect(right).toBeGreaterThan(300);
});
