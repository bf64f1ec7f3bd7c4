import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { fitPipeline, predictPipeline } from '../../src/estimators/pipeline.ts';
import { agreementOf } from '../../src/monitoring/agreement-of-versions.ts';
import { compareVersions } from '../../src/monitoring/compare-versions.ts';
import { ensureFeatureColumns } from '../../src/prediction-log/postgres/feature-columns.ts';
import { insertPipeline, type NewPipeline } from '../../src/registry/pipeline-versions.ts';
import { pipelineParameters } from '../../src/training/pipeline-parameters.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { contractOf, loadWines, wines } from '../support/declaration.ts';

let database: TestDatabase;
let pool: Pool;
const dataset = loadWines();
const train = (alpha: number) => trainPipeline(dataset, { contract: wines, alpha, seed: 0 });
const [one, other] = [train(1), train(1000)];
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined, max: 2 });
  await ensureFeatureColumns(pool, wines);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
afterEach(async () => {
  await database.query('truncate ml_pipeline cascade');
  await database.query('truncate predictions');
});

const publish = (pipeline: NewPipeline) =>
  transaction(pool, (client) => insertPipeline(client, pipeline, { now: new Date() }));
const compare = (a: string, b: string) => compareVersions(pool, [a, b], { shipped: wines, now: new Date() });

/** Stores this row of the data set so many times, with ids that grow with the number; null is stored for a name of `without`. */
async function store(row: number, { times = 1, number = row, without = '' } = {}): Promise<void> {
  const values = wines.features.map(({ name }, i) => (name === without ? null : dataset.X.data[row * 5 + i]));
  await database.query(
    `insert into predictions (id, ${wines.columns.map(({ name }) => `"${name}"`).join()}, prediction, pipeline_version, created_at)
     select (lpad(to_hex($1::int * 10000 + i), 12, '0') || '70008000000000000000')::uuid, $2, $3, $4, $5, $6, 0, 'any', now()
     from generate_series(1, $7::int) as i`,
    [number, ...values, times],
  );
}

/** What the fit itself answers for the first rows. */
function fitted(alpha: number, rows: number): number[] {
  return [...predictPipeline(fitPipeline(dataset, pipelineParameters(wines, alpha)), dataset.X)].slice(0, rows);
}

describe('in the field', () => {
  const cell = (version: string, day: string, labelled: number, squared: number) =>
    database.query(
      `insert into live_quality (pipeline_version, day, labelled, mean_error, mean_absolute_error, mean_squared_error,
         var_squared_error, mean_actual, syy_actual, computed_at) values ($1, $2, $3, 0.5, 1, $4, 1, 7, 100, now())`,
      [version, day, labelled, squared],
    );
  const now = new Date('2026-11-20T12:00:00Z');

  test('they are measured on the days on which both have labels', async () => {
    const [a, b] = [await publish(one), await publish(other)];
    await cell(a, '2026-11-10', 10, 100);
    await cell(a, '2026-11-11', 30, 4);
    await cell(b, '2026-11-11', 20, 9);
    await cell(a, '2026-11-13', 10, 8);
    await cell(b, '2026-11-13', 20, 9);
    await cell(b, '2026-11-14', 20, 100);
    const { comparison } = await compareVersions(pool, [a, b], { shipped: wines, now });
    expect(comparison.field).toMatchObject({
      ...{ from: '2026-11-11', to: '2026-11-13' },
      a: { labels: 40, rmse: Math.sqrt((30 * 4 + 10 * 8) / 40), bias: 0.5, mae: 1 },
      b: { labels: 40, rmse: 3 },
    });
    await database.query("delete from live_quality where day in ('2026-11-11', '2026-11-13')");
    expect((await compareVersions(pool, [a, b], { shipped: wines, now })).comparison.field).toBeNull();
  });
});

describe('two versions', () => {
  test('are run on the stored rows, whichever version has answered them', async () => {
    const [a, b] = [await publish(one), await publish(other)];
    for (let row = 0; row < 20; row++) await store(row);
    const { comparison, notes } = await compare(a, b);
    const expected = agreementOf(fitted(1, 20), fitted(1000, 20));
    const { agreement } = comparison;
    expect(agreement.rows).toBe(20);
    expect(agreement.mean_absolute_difference).toBeCloseTo(expected.mean_absolute_difference!, 9);
    expect(agreement.p95_absolute_difference).toBeCloseTo(expected.p95_absolute_difference!, 9);
    expect(agreement.correlation).toBeCloseTo(expected.correlation!, 9);
    expect(agreement.mean_absolute_difference).toBeGreaterThan(0.1);
    expect(notes).toEqual(['20 predictions are stored; the newest 1000 are compared.']);
    const validation = ({ metrics: { cv_rmse: rmse, cv_mae: mae, cv_r2: r2 } }: NewPipeline) => ({ rmse, mae, r2 });
    expect(comparison).toEqual({
      ...{ a, b, field: null, agreement },
      cross_validation: { a: validation(one), b: validation(other) },
    });
  });

  test('are compared on the newest 1,000 rows alone', async () => {
    const [a, b] = [await publish(one), await publish(other)];
    await store(0, { times: 5, number: 1 });
    await store(1, { times: 1_000, number: 2 });
    const { comparison, notes } = await compare(a, b);
    const difference = Math.abs(fitted(1, 2)[1]! - fitted(1000, 2)[1]!);
    expect(comparison.agreement.rows).toBe(1_000);
    expect(comparison.agreement.mean_absolute_difference).toBeCloseTo(difference, 9);
    expect(comparison.agreement.correlation).toBeNull();
    expect(notes).toEqual([]);
  });

  test('leave out the rows that one of them does not take', async () => {
    const [acidity, ...others] = wines.declaration.features;
    const X = { rows: 120, columns: 4, data: new Float64Array(480) };
    for (let row = 0; row < 120; row++) X.data.set(dataset.X.data.subarray(row * 5 + 1, row * 5 + 5), row * 4);
    const unsour = trainPipeline({ X, y: dataset.y }, { contract: contractOf(others), alpha: 1, seed: 0 });
    const [a, b] = [await publish(one), await publish(unsour)];
    await store(0);
    await store(1, { without: acidity!.name });
    const { comparison, notes } = await compare(a, b);
    expect(comparison.agreement.rows).toBe(1);
    expect(notes).toContain('1 of the newest rows are left out: one of the versions does not take them.');
  });

  test('take null where a feature may be missing, also of a column that is not there', async () => {
    const [acidity, ...others] = wines.declaration.features;
    const price = { name: 'price', dtype: 'float64', nullable: true };
    const contract = contractOf([{ ...acidity, nullable: true }, ...others, price]);
    const X = { rows: 120, columns: 6, data: new Float64Array(720) };
    for (let row = 0; row < 120; row++) {
      X.data.set(dataset.X.data.subarray(row * 5, row * 5 + 5), row * 6);
      X.data[row * 6 + 5] = row % 3 === 0 ? Number.NaN : row % 7;
      if (row % 4 === 0) X.data[row * 6] = Number.NaN;
    }
    const nullable = (alpha: number) => trainPipeline({ X, y: dataset.y }, { contract, alpha, seed: 0 });
    const [a, b] = [await publish(nullable(1)), await publish(nullable(1000))];
    await store(0);
    await store(1, { without: 'acidity' });
    await store(2, { without: 'sugar' });
    const { comparison, notes } = await compare(a, b);
    expect(comparison.agreement.rows).toBe(2);
    expect(notes).toContain('1 of the newest rows are left out: one of the versions does not take them.');
  });

  test('leave out rows of other contracts, which have none of their values, though all of these may be missing', async () => {
    const features = wines.declaration.features.map((feature) => ({ ...feature, nullable: true }));
    const nullable = (alpha: number) => trainPipeline(dataset, { contract: contractOf(features), alpha, seed: 0 });
    const [a, b] = [await publish(nullable(1)), await publish(nullable(1000))];
    await store(0);
    await database.query(
      `insert into predictions (id, rm, prediction, pipeline_version, created_at)
       values (gen_random_uuid(), 6.5, 24, 'a house', now())`,
    );
    const { comparison, notes } = await compare(a, b);
    expect(comparison.agreement.rows).toBe(1);
    expect(notes).toContain('1 of the newest rows are left out: one of the versions does not take them.');
  });

  test('cannot be compared where one is unknown, and have no agreement where one is emptied', async () => {
    const [a, b] = [await publish(one), await publish(other)];
    await store(0);
    await expect(compare(a, '2020_01_01__00_00_00')).rejects.toMatchObject({ code: 'unknown_version' });
    await database.query("update ml_pipeline set artefact = '' where pipeline_version = $1", [b]);
    const { comparison, notes } = await compare(a, b);
    expect(comparison.agreement).toEqual(agreementOf([], []));
    expect(notes).toEqual([expect.stringContaining('The artefact of the version is gone')]);
  });
});
