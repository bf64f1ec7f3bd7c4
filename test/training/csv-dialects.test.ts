import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { Feature } from '../../src/contract/features-schema.ts';
import { valueOfSlot } from '../../src/contract/rows.ts';
import type { Value } from '../../src/contract/values.ts';
import { shownName } from '../../src/training/csv-header.ts';
import { readTrainingData, type TrainingData } from '../../src/training/training-data.ts';
import { contractOf } from '../support/declaration.ts';
import { makeDirectory } from '../support/directory.ts';

const directory = await makeDirectory('csv-dialects');
afterAll(() => rm(directory, { recursive: true, force: true }));

const separators = [',', ';', '\t', '|'] as const;
const encodings = {
  'UTF-8': (text: string) => Buffer.from(text),
  'UTF-8 with a mark': (text: string) => Buffer.from(`\ufeff${text}`),
  'UTF-16 LE': (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le'),
  'UTF-16 BE': (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le').swap16(),
};

interface Dialect {
  separator: (typeof separators)[number];
  lineEnd: '\n' | '\r\n' | '\r';
  encoding: keyof typeof encodings;
  quotes: 'all' | 'where need be';
  decimalMark: '.' | ',';
  missing: string;
  isPacked: boolean;
}

const plain: Dialect = {
  separator: ',',
  lineEnd: '\n',
  encoding: 'UTF-8',
  quotes: 'where need be',
  decimalMark: '.',
  missing: '',
  isPacked: false,
};

interface Table {
  features: { name: string; dtype: Feature['dtype'] }[];
  rows: Value[][];
}

/** The last column is the target. */
function written({ features, rows }: Table, dialect: Dialect): Buffer {
  const { separator, lineEnd, quotes, decimalMark, missing } = dialect;
  const needQuotes = [separator, '"', '\r', '\n'];
  // Names that hold another separator are in quotes, as a header that can be read in two ways is refused.
  const header = [...features.map((feature) => feature.name), 'y'].map((field) =>
    quoted(field, [...needQuotes, ...separators]),
  );
  const lines = rows.map((row) => row.map((value) => quoted(cellOf(value), needQuotes)));
  const text = [header, ...lines].map((fields) => fields.join(separator) + lineEnd).join('');
  const bytes = encodings[dialect.encoding](text);
  return dialect.isPacked ? gzipSync(bytes) : bytes;

  function cellOf(value: Value): string {
    if (value === null) return missing;
    return typeof value === 'number' ? String(value).replace('.', decimalMark) : String(value);
  }

  function quoted(field: string, signs: readonly string[]): string {
    const isNeeded = quotes === 'all' || signs.some((sign) => field.includes(sign));
    return isNeeded ? `"${field.replaceAll('"', '""')}"` : field;
  }
}

async function read(bytes: Buffer, how: { target: string } | { features: object[] }): Promise<TrainingData> {
  const data = join(directory, 'rows.csv');
  await writeFile(data, bytes);
  const served = contractOf('features' in how ? how.features : [{ name: 'none', dtype: 'bool' }], { name: 'y' });
  return readTrainingData({ data, served, ...('target' in how && how) });
}

function valuesOf({ contract, dataset: { X, y } }: TrainingData): Value[][] {
  return Array.from(y, (target, row) => [
    ...contract.features.map((feature, i) => valueOfSlot(feature, X.data[row * X.columns + i]!, { contract })),
    target,
  ]);
}

const penguins: Table = {
  features: [
    { name: 'species', dtype: 'string' },
    { name: 'bill, "mm"', dtype: 'float64' },
    { name: 'year', dtype: 'int64' },
    { name: 'tagged', dtype: 'bool' },
  ],
  rows: [
    ['Adelie', 39.1, 2007, true, 3750.5],
    ['Śródmieście; "the\r\n2nd"\t|', null, 2008, false, 3800],
    [null, 40.25, 2007, null, 3250],
    ['🐧, Gentoo', -1e-7, null, true, 1e21],
  ],
};

describe('the same table is read from a file with', () => {
  const dialects = separators.flatMap((separator) =>
    (Object.keys(encodings) as Dialect['encoding'][]).flatMap((encoding) =>
      (['all', 'where need be'] as const).map((quotes) => ({ ...plain, separator, encoding, quotes })),
    ),
  );

  test.each(dialects)('$separator between fields, in $encoding, quotes: $quotes', async (dialect) => {
    for (const lineEnd of ['\n', '\r\n', '\r'] as const) {
      for (const decimalMark of dialect.separator === ',' ? (['.'] as const) : (['.', ','] as const)) {
        for (const isPacked of [false, true]) {
          const data = await read(written(penguins, { ...dialect, lineEnd, decimalMark, isPacked }), { target: 'y' });
          expect(data.contract.features.map(({ name, dtype, nullable }) => ({ name, dtype, nullable }))).toEqual(
            penguins.features.map((feature) => ({ ...feature, nullable: true })),
          );
          expect(valuesOf(data)).toEqual(penguins.rows);
        }
      }
    }
  });

  test.each(['', 'NA', 'N/A', 'n/a', 'NaN', 'nan', 'null', 'NULL', 'None', '<NA>', '#N/A', '  ', ' NA '])(
    'missing values as %j',
    async (missing) => {
      const data = await read(written(penguins, { ...plain, missing }), { target: 'y' });
      expect(valuesOf(data)).toEqual(penguins.rows);
      expect(data.notes.join()).toContain(`1 missing (${missing.trim() || 'empty'})`);
    },
  );
});

/** Texts that are neither missing nor a number, a boolean or a date: these begin with a letter of their own. */
const text = fc
  .string({
    unit: fc.oneof(
      fc.constantFrom(',', ';', '\t', '|', '"', '\n', '\r', ' ', "'"),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
    ),
  })
  .filter((value) => value.isWellFormed() && !value.includes('\0'))
  .map((value) => `x${value}`);

const valuesOfType: Record<Feature['dtype'], fc.Arbitrary<Value>> = {
  float64: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
  int64: fc.maxSafeInteger(),
  bool: fc.boolean(),
  string: text,
};
/** Two values without which a column would be of another type, or constant. */
const characteristic: Record<Feature['dtype'], [Value, Value]> = {
  float64: [0.5, -2.25],
  int64: [1, 2],
  bool: [true, false],
  string: ['a', 'b'],
};

const name = text.filter((value) => shownName(value) === value && value.length < 50 && !/\p{Cc}/u.test(value));

const table: fc.Arbitrary<Table> = fc
  .uniqueArray(fc.record({ name, dtype: fc.constantFrom<Feature['dtype']>('float64', 'int64', 'bool', 'string') }), {
    minLength: 1,
    maxLength: 5,
    selector: (feature) => feature.name.normalize('NFKC').toLowerCase(),
  })
  .chain((features) =>
    fc
      .array(fc.tuple(...features.map(({ dtype }) => fc.option(valuesOfType[dtype])), valuesOfType.float64), {
        maxLength: 10,
      })
      .map((rows) => ({
        features,
        rows: [
          [...features.map(({ dtype }) => characteristic[dtype][0]), 0.5],
          [...features.map(({ dtype }) => characteristic[dtype][1]), -2.25],
          ...(rows as Value[][]),
        ],
      })),
  );

const dialect: fc.Arbitrary<Dialect> = fc
  .record({
    separator: fc.constantFrom(...separators),
    lineEnd: fc.constantFrom('\n', '\r\n', '\r'),
    encoding: fc.constantFrom(...(Object.keys(encodings) as Dialect['encoding'][])),
    quotes: fc.constantFrom('all', 'where need be'),
    decimalMark: fc.constantFrom('.', ','),
    missing: fc.constantFrom('', 'NA', 'null'),
    isPacked: fc.boolean(),
  })
  .filter(({ separator, decimalMark }) => separator !== decimalMark);

test('any table, written in any dialect, is read as the same types and values, derived or declared', async () => {
  await fc.assert(
    fc.asyncProperty(table, dialect, async (given, how) => {
      const bytes = written(given, how);
      const derived = await read(bytes, { target: 'y' });
      expect(derived.contract.features).toMatchObject(given.features);
      expect(valuesOf(derived)).toEqual(given.rows);
      const declared = await read(bytes, { features: given.features.map((one) => ({ ...one, nullable: true })) });
      expect(valuesOf(declared)).toEqual(given.rows);
    }),
    { numRuns: 200 },
  );
});
