import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { exampleRow } from '../../../src/contract/rows.ts';
import type { Value } from '../../../src/contract/values.ts';
import { createPool, type Pool } from '../../../src/database/pool.ts';
import { housing } from '../../../src/housing/features.ts';
import { encodeRecords, type UnfitRow } from '../../../src/prediction-log/postgres/copy-format.ts';
import { describeRecord, describeRow } from '../../../src/prediction-log/postgres/describe.ts';
import { encodeNumbers } from '../../../src/prediction-log/postgres/encode-numbers.ts';
import { encodeValues } from '../../../src/prediction-log/postgres/encode-values.ts';
import { createPredictionsTable } from '../../../src/prediction-log/postgres/predictions-table.ts';
import { splitRecords } from '../../../src/prediction-log/postgres/tuples.ts';
import { blocksOf, type PredictionBatch } from '../../../src/prediction-log/prediction-batch.ts';
import { recordColumns } from '../../../src/prediction-log/record-columns.ts';
import { createPredictionIds } from '../../../src/serving/prediction-ids.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { contractOf, everyType } from '../../support/declaration.ts';
import { makeBatch, batchOf as makeTypedBatch } from '../batches.ts';

const columns = recordColumns(housing);
const width = housing.features.length;
const newIds = createPredictionIds();
let database: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined });
});
beforeEach(() => database.query('truncate predictions'));
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const encode = (batch: PredictionBatch) => encodeRecords([blocksOf(batch)], columns);
const insert = (batch: PredictionBatch) => createPredictionsTable(pool).insert(columns, encode(batch));

/** A batch with these values, by the schema's kinds: whole numbers where a column is categorical. */
function batchOf(rows: { numbers: number[]; whole: number[]; prediction: number }[], createdAt = new Date()) {
  const ids = new Uint8Array(16 * rows.length);
  const texts = newIds(ids, createdAt.getTime());
  const features = rows.flatMap(({ numbers, whole }) => {
    let taken = 0;
    return housing.features.map(({ kind }, i) => (kind === 'categorical' ? whole[taken++]! : numbers[i]!));
  });
  const batch: PredictionBatch = {
    contract: housing,
    ids,
    features: Float64Array.from(features),
    predictions: Float64Array.from(rows, ({ prediction }) => prediction),
    pipelineVersion: '2026_11_22__16_08_52',
    createdAt,
  };
  return { batch, texts };
}

const finite = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, 0.1, 5e-324, -5e-324, Number.MAX_VALUE, -Number.MAX_VALUE, Number.EPSILON),
);
const whole = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom(0, -1, 1, 2 ** 31, -(2 ** 31), 2 ** 32, -(2 ** 32), 2 ** 53 - 1, 1 - 2 ** 53),
);
const row = fc.record({
  numbers: fc.array(finite, { minLength: width, maxLength: width }),
  whole: fc.array(whole, { minLength: 2, maxLength: 2 }),
  prediction: finite,
});
const bitsOf = (value: number) => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes.toString('hex');
};

test.each([
  ['copied', 'insert'],
  ['added where it is missing', 'insertMissing'],
] as const)(
  'what is %s comes back from Postgres with every bit of numbers, ids, versions and times',
  async (_, way) => {
    const { features } = housing;
    const shown = features.map(({ name, kind }) =>
      kind === 'categorical' ? `${name}::text` : `encode(float8send(${name}), 'hex')`,
    );
    const dates = fc.date({ min: new Date('1990-01-01'), max: new Date('2090-01-01'), noInvalidDate: true });
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 40 }), dates, async (rows, createdAt) => {
        await database.query('truncate predictions');
        const { batch, texts } = batchOf(rows, createdAt);
        await createPredictionsTable(pool)[way](columns, encode(batch));
        const stored = await database.query<{ id: string; values: string[]; prediction: string; created_at: Date }>(
          `select id, array[${shown}] as values, encode(float8send(prediction), 'hex') as prediction, pipeline_version,
           created_at from predictions`,
        );
        const byId = new Map(stored.map((found) => [found.id, found]));
        expect(byId.size).toBe(rows.length);
        texts.forEach((id, i) => {
          const values = features.map(({ kind }, column) => {
            const value = batch.features[i * width + column]!;
            return kind === 'categorical' ? String(BigInt(value)) : bitsOf(value);
          });
          const prediction = bitsOf(batch.predictions[i]!);
          expect(byId.get(id)).toEqual({
            ...{ id, values, prediction },
            pipeline_version: batch.pipelineVersion,
            created_at: createdAt,
          });
        });
      }),
      { numRuns: 40 },
    );
  },
);

const plain = (i: number) => ({ numbers: Array(width).fill(i + 0.5), whole: [i, -i], prediction: 20 + i });

test('only what is missing is added, and a key that is there is told as such', async () => {
  const { batch } = batchOf(Array.from({ length: 10 }, (_, i) => plain(i)));
  const store = createPredictionsTable(pool);
  const [first, ...others] = splitRecords(encode(batch));
  await store.insert(columns, first!);
  const again = store.insert(columns, encode(batch));
  expect(store.failureOf(await again.catch((error: unknown) => error))).toBe('duplicate');
  await store.insertMissing(columns, encode(batch));
  expect(others).toHaveLength(9);
  expect(await database.query('select count(*)::int as rows from predictions')).toEqual([{ rows: 10 }]);
});

describe('a table whose columns have other types', () => {
  test.each([
    ['numeric', 'crim', 'numeric', '3.5'],
    ['real', 'crim', 'real', '3.5'],
    ['a whole number of four bytes', 'chas', 'integer', '3'],
    ['double precision for a category', 'chas', 'double precision', '3'],
    ['a shorter text', 'pipeline_version', 'varchar(40)', '2026_11_22__16_08_52'],
  ])('is given the value by conversion: %s', async (_, column, type, expected) => {
    const [before] = await database.query<{ type: string }>(
      `select format_type(atttypid, null) as type from pg_attribute where attrelid = 'predictions'::regclass and attname = $1`,
      [column],
    );
    await database.query(`alter table predictions alter column ${column} type ${type}`);
    try {
      await createPredictionsTable(pool).insert(columns, encode(batchOf([plain(3)]).batch));
      expect(await database.query(`select ${column}::text as value from predictions`)).toEqual([{ value: expected }]);
    } finally {
      await database.query(`alter table predictions alter column ${column} type ${before!.type}`);
    }
  });

  test('is noticed by a store that knew it before, once its connection is another', async () => {
    const own = createPool({ url: database.url, onError: () => undefined, max: 1 });
    const store = createPredictionsTable(own);
    await store.insert(columns, encode(batchOf([plain(1)]).batch));
    await database.query('alter table predictions alter column chas type double precision');
    try {
      // As a deploy does after its migration, or the database with its restart.
      await own.query('select pg_terminate_backend(pg_backend_pid())').catch(() => undefined);
      await store.insert(columns, encode(batchOf([plain(2)]).batch));
      const found = await database.query('select chas from predictions order by chas');
      expect(found).toEqual([{ chas: 1 }, { chas: 2 }]);
    } finally {
      await own.end();
      await database.query('alter table predictions alter column chas type bigint');
    }
  });
});

test('records are taken apart and described for people', () => {
  const createdAt = new Date('2026-11-22T16:08:52.007Z');
  const { batch, texts } = batchOf([plain(1), { ...plain(2), prediction: -0.25 }], createdAt);
  const records = splitRecords(encode(batch));
  expect(records).toHaveLength(2);
  expect(describeRecord(columns, records[1]!)).toEqual({
    id: texts[1],
    ...Object.fromEntries(
      housing.columns.map(({ name, type }) => [name, type === 'bigint' ? expect.any(Number) : 2.5]),
    ),
    chas: 2,
    rad: -2,
    prediction: -0.25,
    pipeline_version: '2026_11_22__16_08_52',
    created_at: createdAt.toISOString(),
  });
});

describe('a row that a column cannot hold', () => {
  const good = batchOf([plain(1), plain(2), plain(3)]).batch;
  const wholeAt = housing.features.findIndex(({ kind }) => kind === 'categorical');
  const withValue = (value: number): PredictionBatch => {
    const features = good.features.slice();
    features[width + wholeAt] = value;
    return { ...good, features };
  };
  const encodeUnfit = (batch: PredictionBatch, of = columns) => {
    const unfit: UnfitRow[] = [];
    const records = encodeRecords([blocksOf(batch)], of, undefined, (row) => unfit.push(row));
    return { unfit, records };
  };

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.5, -1e-300, 2 ** 53 + 2, -1e300])(
    'as it is %d where a whole number belongs, is left out alone and described',
    (value) => {
      const { unfit, records } = encodeUnfit(withValue(value));
      const [first, , third] = splitRecords(encode(good));
      expect(splitRecords(records)).toEqual([first, third]);
      expect(unfit).toEqual([
        {
          record: expect.objectContaining({
            id: expect.stringMatching(/^[0-9a-f-]{36}$/),
            [housing.features[wholeAt]!.name.toLowerCase()]: Number.isFinite(value) ? value : String(value),
            prediction: 22,
          }),
          reason: expect.stringContaining(String(value)),
        },
      ]);
      expect(JSON.parse(JSON.stringify(unfit))).toEqual(unfit);
      expect(() => encode(withValue(value))).toThrow(RangeError);
    },
  );

  test('of which the greatest and the least that it can are stored', async () => {
    for (const value of [2 ** 53, -(2 ** 53), -0]) {
      await database.query('truncate predictions');
      await insert(withValue(value));
      const [row] = await database.query<{ value: string }>(
        `select ${housing.features[wholeAt]!.name.toLowerCase()}::text as value from predictions where prediction = 22`,
      );
      expect(row!.value).toBe(String(BigInt(value)));
    }
  });

  test('for its batch has another width, another time than there is, or columns of another kind', () => {
    const timeless = { ...good, createdAt: new Date(Number.NaN) };
    const strange = columns.map((column, i) => (i === 1 ? { ...column, type: 'date' as 'text' } : column));
    for (const { unfit, records } of [
      encodeUnfit(good, columns.slice(1)),
      encodeUnfit(good, []),
      encodeUnfit(good, strange),
      encodeUnfit(timeless),
    ]) {
      expect(records).toHaveLength(0);
      expect(unfit).toHaveLength(3);
      expect(JSON.parse(JSON.stringify(unfit))).toEqual(unfit);
    }
  });
});

test('what JSON has no number for is described as the text that Postgres reads', () => {
  const { batch } = batchOf([{ ...plain(1), numbers: Array(width).fill(-0), prediction: Number.NaN }]);
  expect(describeRecord(columns, encode(batch))).toMatchObject({ crim: '-0', prediction: 'NaN' });
});

describe('values of any type', () => {
  const types = ['double precision', 'bigint'] as const;

  test('are encoded as plain numbers are, where they are plain numbers', () => {
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 20 }), (rows) => {
        const blocks = blocksOf(batchOf(rows).batch);
        const of = housing.columns.map(({ type }) => type);
        const records = Buffer.alloc(rows.length * 400);
        const end = encodeValues(blocks, of, records, 0, () => expect.unreachable());
        expect(records.subarray(0, end)).toEqual(encodeRecords([blocks], columns));
      }),
    );
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 0.5, 2 ** 53 + 2])(
    'are refused as %d is where it is whole numbers',
    (value) => {
      const batch = makeBatch(1, 2);
      batch.features.fill(value);
      const reasons: string[] = [];
      const note = (_: number, reason: string) => void reasons.push(reason);
      encodeNumbers(blocksOf(batch), [false, true], Buffer.alloc(200), 0, note);
      encodeValues(blocksOf(batch), types, Buffer.alloc(200), 0, note);
      expect(reasons).toEqual(Array(2).fill(expect.stringContaining('is no whole number')));
      expect(reasons[0]).toBe(reasons[1]);
    },
  );

  const rowOf = (values: object) =>
    makeTypedBatch(everyType, [{ ...exampleRow(everyType), ...values } as Record<string, Value>]);

  test('are described for people: texts, booleans, and null', () => {
    const batch = rowOf({ district: 'Śródmieście', heating: null, 'remark/~': '🐧\\n', garden: null, size: -0 });
    const of = recordColumns(everyType);
    const described = describeRow(blocksOf(batch), 0, of);
    expect(described).toMatchObject({
      ...{ size: '-0', rooms_total: 3, lift: true, garden: null },
      ...{ district: 'Śródmieście', heating: null, remark: '🐧\\n' },
    });
    expect(describeRecord(of, encodeRecords([blocksOf(batch)], of))).toEqual(described);
    const unknown = describeRow(blocksOf(batch), 0, []);
    expect(unknown.features).toHaveLength(everyType.features.length);
    expect(Object.values(unknown.texts as object)).toEqual(expect.arrayContaining(['Śródmieście', '🐧\\n']));
  });

  test.each([
    ['lift', 0.5, /0.5 is neither 0 nor 1/],
    ['district', 99, /99 is not the place of a text/],
    ['Rooms (total)', 0.25, /0.25 is no whole number/],
  ])('that the column of %s cannot hold leave out their row', (name, slot, reason) => {
    const batch = rowOf({ 'remark/~': 'a' });
    batch.features[everyType.names.indexOf(name)] = slot;
    const unfit: UnfitRow[] = [];
    const of = recordColumns(everyType);
    expect(encodeRecords([blocksOf(batch)], of, undefined, (one) => unfit.push(one))).toHaveLength(0);
    expect(unfit).toMatchObject([{ reason: expect.stringMatching(reason), record: { remark: 'a' } }]);
  });
});

test('memory that is handed in is used when it is large enough', () => {
  const { batch } = batchOf([plain(1)]);
  const scratch = Buffer.alloc(1000);
  const given = encodeRecords([blocksOf(batch)], columns, scratch);
  expect(given.buffer).toBe(scratch.buffer);
  expect(given).toEqual(encode(batch));
  expect(encodeRecords([blocksOf(batch)], columns, Buffer.alloc(10))).toEqual(encode(batch));
});

test('a declaration says which columns are whole numbers', () => {
  const contract = contractOf(housing.features.filter(({ name }) => ['RM', 'RAD'].includes(name)));
  expect(recordColumns(contract).map(({ name, type }) => `${name} ${type}`)).toEqual([
    'id uuid',
    'rm double precision',
    'rad bigint',
    'prediction double precision',
    'pipeline_version text',
    'created_at timestamp with time zone',
  ]);
});
