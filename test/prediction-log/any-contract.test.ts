/** Rows of any contract, by every way to Postgres: what is stored is what was sent, to the last bit. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Contract } from '../../src/contract/contract.ts';
import type { Value } from '../../src/contract/values.ts';
import { createPool, escapeIdentifier, type Pool } from '../../src/database/pool.ts';
import { housing } from '../../src/housing/features.ts';
import { encodeRecords } from '../../src/prediction-log/postgres/copy-format.ts';
import { ensureFeatureColumns } from '../../src/prediction-log/postgres/feature-columns.ts';
import { createPredictionsTable } from '../../src/prediction-log/postgres/predictions-table.ts';
import { blocksOf, type PredictionBatch } from '../../src/prediction-log/prediction-batch.ts';
import { createPredictionLog, type PredictionLogOptions } from '../../src/prediction-log/prediction-log.ts';
import { recordColumns } from '../../src/prediction-log/record-columns.ts';
import { createSpool } from '../../src/prediction-log/spool/spool.ts';
import { anyContract } from '../support/any-contract.ts';
import { anyRowOf } from '../support/any-json.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { everyType, wines } from '../support/declaration.ts';
import { makeDirectory } from '../support/directory.ts';
import { createNotedLog, silentLog } from '../support/noted-log.ts';
import { batchOf, idsOf, makeBatch } from './batches.ts';

let database: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

type Row = Record<string, Value>;

async function newTable(...contracts: readonly Contract[]): Promise<void> {
  await database.query('drop table if exists predictions');
  await database.query(
    `create table predictions (id uuid not null, prediction double precision not null, pipeline_version text not null,
       created_at timestamptz not null, primary key (id, created_at))`,
  );
  for (const contract of contracts) await ensureFeatureColumns(pool, contract);
}

async function newRoot(): Promise<string> {
  const root = await makeDirectory('any-contract');
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  return root;
}

function openLog(root: string, options: Partial<PredictionLogOptions> = {}) {
  const store = createPredictionsTable(pool);
  const given = { fsync: false, maxBytes: 1e8, assumedColumns: recordColumns(housing), log: silentLog, ...options };
  return createPredictionLog({ mode: 'spool', root, store, servedContract: () => undefined, ...given });
}

/** The stored values of a contract by id, as texts in which every bit can be seen. */
async function storedUnder(contract: Contract): Promise<Map<string, (string | null)[]>> {
  const shown = contract.columns.map(({ name, type }) => {
    const column = escapeIdentifier(name);
    return type === 'double precision' ? `encode(float8send(${column}), 'hex')` : `${column}::text`;
  });
  const rows = await database.query<{ id: string; values: (string | null)[] }>(
    `select id, array[${shown}] as values from predictions`,
  );
  return new Map(rows.map(({ id, values }) => [id, values]));
}

/** What `storedUnder` gives for rows that were sent. */
function expectedOf({ features }: Contract, row: Row): (string | null)[] {
  return features.map(({ name, dtype }) => {
    const value = Object.hasOwn(row, name) ? row[name]! : null;
    if (value === null || dtype === 'string') return value as string | null;
    if (dtype !== 'float64') return String(dtype === 'int64' ? BigInt(value) : value);
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(Number(value));
    return bytes.toString('hex');
  });
}

async function expectStored(...sent: { batch: PredictionBatch; rows: readonly Row[] }[]): Promise<void> {
  const expected = sent.flatMap(({ batch, rows }) =>
    idsOf(batch).map((id, i) => [id, expectedOf(batch.contract, rows[i]!)] as const),
  );
  const found = await Promise.all([...new Set(sent.map(({ batch }) => batch.contract))].map(storedUnder));
  expect(found[0]!.size).toBe(expected.length);
  for (const [id, values] of expected) expect(found.map((rows) => rows.get(id))).toContainEqual(values);
}

const encode = (batch: PredictionBatch) => encodeRecords([blocksOf(batch)], recordColumns(batch.contract));

/** Stores the batches, one after another, and resolves when they are in Postgres. */
const ways: Record<string, (batches: readonly PredictionBatch[]) => Promise<void>> = {
  'the spool': async (batches) => {
    const log = openLog(await newRoot());
    for (const batch of batches) await log.append(batch);
    await log.close(10_000);
  },
  'the spool of a process that has died': async (batches) => {
    const root = await newRoot();
    const dead = createSpool({ root, maxBytes: 1e8, fsync: false, log: silentLog });
    for (const batch of batches) await dead.append(batch);
    await dead.close();
    await openLog(root, { mode: 'off' }).close(10_000);
  },
  'the direct writer': async (batches) => {
    const log = openLog(await newRoot(), { mode: 'sync' });
    await Promise.all(batches.map((batch) => log.append(batch)));
    await log.close(10_000);
  },
  'what adds missing rows': async (batches) => {
    const store = createPredictionsTable(pool);
    for (const batch of batches) await store.insertMissing(recordColumns(batch.contract), encode(batch));
  },
};

const anyBatches = anyContract.chain((contract) =>
  fc.tuple(
    fc.constant(contract),
    fc.array(fc.array(anyRowOf(contract), { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 3 }),
  ),
);

describe.each(Object.entries(ways))('by %s', (_, store) => {
  test('rows of any contract are stored as they were sent', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(anyBatches, async ([contract, batches]) => {
        await newTable(contract);
        const sent = batches.map((rows) => ({ batch: batchOf(contract, rows), rows }));
        await store(sent.map(({ batch }) => batch));
        await expectStored(...sent);
      }),
      { numRuns: 25 },
    );
  });

  test('so are outermost values, texts of every script, and a change of the contract in between', async () => {
    await newTable(everyType, wines);
    const apartments = [...extremes, ...Array.from({ length: 300 }, (_, i) => ({ ...extremes[0]!, size: i }))];
    const bottles = Array.from({ length: 200 }, (_, i) => ({
      ...{ acidity: i / 8, vineyard: i, sugar: -0, alcohol: 5e-324, oak: 1 - 2 ** 53 },
    }));
    const sent = [everyType, wines, everyType, wines].map((contract) => {
      const rows: Row[] = contract === everyType ? apartments : bottles;
      return { batch: batchOf(contract, rows), rows };
    });
    await store(sent.map(({ batch }) => batch));
    await expectStored(...sent);
  });
});

const apartment = {
  ...{ size: 71.5, 'Rooms (total)': 3, floor: null, lift: true, garden: null },
  ...{ district: 'Śródmieście', heating: null, 'remark/~': null, select: null },
} satisfies Row;
const extremes: Row[] = [
  apartment,
  { ...apartment, size: -0, select: Number.MAX_VALUE, 'Rooms (total)': 2 ** 53 - 1, floor: 1 - 2 ** 53, garden: false },
  { ...apartment, size: 5e-324, select: -Number.MAX_VALUE, floor: 0, lift: false, heating: 'gas' },
  ...[
    '',
    'x'.repeat(8192),
    '石'.repeat(2730),
    '🐧👩🏽‍🚀',
    'مرحبا',
    'é e\u0301',
    '\u{10ffff}',
    '\\N',
    '\\.',
    'NULL',
    '{"a",null}',
    'it\'s "so"\t\r\n\\',
    '\u0001\u007f',
  ].flatMap((text) => [
    { ...apartment, 'remark/~': text },
    { ...apartment, district: text, 'remark/~': text },
  ]),
];

test('a spool of the version before is adopted beside one of other columns', async () => {
  await newTable(housing, everyType);
  const root = await newRoot();
  const old = join(root, '0e9d7a52-60a1-4c1e-8f43-5a1c2f1f7d33');
  mkdirSync(old);
  copyFileSync(join(import.meta.dirname, 'spool/fixtures/housing.segment'), join(old, '000000000001.segment'));
  const log = openLog(root);
  const batch = batchOf(everyType, extremes);
  await log.append(batch);
  await log.close(10_000);
  const found = await storedUnder(everyType);
  expect(idsOf(batch).map((id) => found.get(id))).toEqual(extremes.map((row) => expectedOf(everyType, row)));
  // Its three batches begin with the same ids.
  const houses = 'select chas::integer, prediction, size from predictions where rad is not null order by prediction';
  expect(await database.query(houses)).toEqual(
    Array.from({ length: 5 }, (_, row) => ({
      chas: ((13 * row + 3) % 49) - 24,
      prediction: 20 + row / 4,
      size: null,
    })),
  );
});

test('rows of a contract that was not published in the database wait until it is, and hold up no others', async () => {
  await newTable(wines);
  const noted = createNotedLog();
  const log = openLog(await newRoot(), { log: noted.log });
  onTestFinished(() => log.close(0));
  const rows: Row[] = extremes;
  const waiting = batchOf(everyType, rows);
  await log.append(waiting);
  await log.append(makeBatch(5, wines));
  await expect.poll(() => log.facts().rows).toBe(rows.length);
  await expect
    .poll(() => log.facts().lastError)
    .toMatch(/no column "size", .*publish the pipeline that answered in this database, or run: alter table/);
  expect(log.facts().deadLetters).toBe(0);
  const [, statement] = /or run: (alter table .*;)$/.exec(log.facts().lastError!)!;
  await database.query(statement!);
  await expect.poll(() => log.facts().rows, { timeout: 20_000 }).toBe(0);
  const found = await storedUnder(everyType);
  expect(idsOf(waiting).map((id) => found.get(id))).toEqual(rows.map((row) => expectedOf(everyType, row)));
  expect(noted.messages()).toEqual([
    'a part of the spool cannot be moved to Postgres; it waits, and is tried again',
    'every part of the spool can be moved to Postgres again',
  ]);
});

test('with PREDICTION_LOG=sync callers are told to retry until the columns are there, and operators why', async () => {
  await newTable(wines);
  const log = openLog(await newRoot(), { mode: 'sync' });
  onTestFinished(() => log.close(0));
  const batch = batchOf(everyType, extremes);
  await expect(log.append(batch)).rejects.toMatchObject({ code: 'prediction_not_stored' });
  expect(log.facts().refusing).toMatch(/no column "size", .*publish the pipeline/);
  await ensureFeatureColumns(pool, everyType);
  await expect.poll(() => log.facts().refusing, { timeout: 10_000 }).toBe(null);
  await log.append(batch);
  expect((await storedUnder(everyType)).size).toBe(extremes.length);
});

test('with PREDICTION_LOG=sync a roll back ends the refusals, though the columns of what was served never come', async () => {
  await newTable(wines);
  let served = everyType;
  const log = openLog(await newRoot(), { mode: 'sync', servedContract: () => served });
  onTestFinished(() => log.close(0));
  await expect(log.append(batchOf(everyType, extremes))).rejects.toMatchObject({ code: 'prediction_not_stored' });
  expect(log.refusal()).toBeDefined();
  served = wines;
  await expect.poll(() => log.refusal(), { timeout: 10_000 }).toBeUndefined();
  expect(log.notReadyReason()).toBeUndefined();
  await log.append(makeBatch(5, wines));
  expect((await storedUnder(wines)).size).toBe(5);
});
