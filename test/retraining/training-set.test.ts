/** Which rows are fitted and which are held out, of any labels; and what it costs to read them from a large table. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPool, type Pool } from '../../src/database/pool.ts';
import type { Dataset } from '../../src/estimators/dense-matrix.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { publishFirstVersion } from '../../src/process/first-version.ts';
import { servedVersion } from '../../src/registry/promotions.ts';
import { type LabelledRow, readLabelledRows, vectorOf } from '../../src/retraining/labelled-rows.ts';
import { composeTrainingSet } from '../../src/retraining/training-set.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories } from '../support/directory.ts';

const row = (value: number, actual: number, minute: number, observedMinute = minute): LabelledRow => {
  const features = Float64Array.of(value);
  return {
    ...{ features, vector: vectorOf(features), actual },
    ...{ predictedAt: new Date(minute * 60_000), observedAt: new Date(observedMinute * 60_000) },
    receivedAt: new Date(observedMinute * 60_000),
  };
};

const baseOf = (values: readonly number[]): Dataset => ({
  X: { rows: values.length, columns: 1, data: Float64Array.from(values) },
  y: Float64Array.from(values, () => -1),
});

const newestFirst = (rows: readonly LabelledRow[]) =>
  rows.toSorted((a, b) => b.predictedAt.getTime() - a.predictedAt.getTime());

describe('a training set', () => {
  test('of a file that was made of labelled rows has seen them', () => {
    const values = Array.from({ length: 300 }, (_, i) => i);
    const labelled = newestFirst(values.slice(0, 150).map((value) => row(value, value, value)));
    const { all, split } = composeTrainingSet({ base: baseOf(values), labelled, learns: false, championThrough: null });
    expect(split!.fit.trainedThrough).toEqual(new Date(49 * 60_000));
    expect(all.trainedThrough).toEqual(new Date(149 * 60_000));
  });

  const labels = fc.array(
    fc.tuple(fc.nat(400), fc.nat(1_000), fc.nat(300), fc.nat(500)).map((one) => row(...one)),
    { minLength: 0, maxLength: 600 },
  );
  const champion = fc.option(fc.nat(300).map((minute) => new Date(minute * 60_000)));

  test('has each vector once, and nothing of the holdout in the fit, nor anything later', () => {
    fc.assert(
      fc.property(labels, champion, fc.boolean(), (rows, championThrough, learns) => {
        const base = baseOf(Array.from({ length: 300 }, (_, i) => i));
        const labelled = newestFirst(rows);
        const { all, honest, split } = composeTrainingSet({ base, labelled, learns, championThrough });
        const newest = new Map<number, LabelledRow>();
        for (const one of labelled) {
          const other = newest.get(one.features[0]!);
          if (!other || one.observedAt > other.observedAt) newest.set(one.features[0]!, one);
        }
        const truths = new Map(Array.from(all.dataset.y, (y, i) => [all.dataset.X.data[i]!, y]));
        expect(truths.size).toBe(all.dataset.X.rows);
        if (learns) for (const [value, one] of newest) expect(truths.get(value)).toBe(one.actual);
        const { shipped, labelled: learned, duplicates } = all.trainingRows;
        expect(shipped + learned).toBe(all.dataset.X.rows);
        expect(shipped + learned + duplicates).toBe(base.X.rows + (learns ? labelled.length : 0));

        for (const one of honest) expect(championThrough === null || one.predictedAt > championThrough).toBe(true);
        expect(split === undefined).toBe(honest.length < 100);
        if (!split) return;
        const heldValues = new Set(split.holdout.map(({ features }) => features[0]!));
        expect(heldValues.size).toBe(split.holdout.length);
        expect([...split.fit.dataset.X.data].filter((value) => heldValues.has(value))).toEqual([]);
        const from = split.holdout.at(-1)!.predictedAt;
        expect(split.fit.trainedThrough === null || split.fit.trainedThrough <= from).toBe(true);
        expect(split.holdout.length).toBeGreaterThanOrEqual(100);
        // Those of the instant at which it begins go with it, but where nothing new would be left to learn from.
        const whole = honest.filter(({ predictedAt }) => predictedAt >= from);
        if (whole.length < honest.length) expect(split.holdout).toEqual(whole);
        else expect(split.holdout).toEqual(honest.slice(0, split.holdout.length));
      }),
    );
  });

  test('holds out the newest fifth, at least 100 and at most 10,000', () => {
    const held = (n: number) => {
      const labelled = newestFirst(Array.from({ length: n }, (_, i) => row(1_000 + i, 1, i)));
      return composeTrainingSet({ base: baseOf([1, 2, 3]), labelled, learns: true, championThrough: null }).split
        ?.holdout.length;
    };
    expect([99, 200, 400, 1_000, 60_000].map(held)).toEqual([undefined, 100, 100, 200, 10_000]);
  });

  test('divides one batch only where all that is new came in it', () => {
    const batch = (minute: number, rows: number) =>
      Array.from({ length: rows }, (_, i) => row(1_000 * minute + i, 1, minute));
    const sizes = (labelled: LabelledRow[]) => {
      const { split } = composeTrainingSet({ base: baseOf([1, 2, 3]), labelled, learns: true, championThrough: null });
      return [split!.holdout.length, split!.fit.trainingRows.labelled];
    };
    expect(sizes(batch(5, 600))).toEqual([120, 480]);
    expect(sizes([...batch(5, 400), ...batch(4, 200)])).toEqual([400, 200]);
  });

  test('without a base leaves enough to fit, or holds out nothing', () => {
    const labelled = newestFirst(Array.from({ length: 150 }, (_, i) => row(i, 1, i)));
    const { all, split } = composeTrainingSet({ base: baseOf([]), labelled, learns: true, championThrough: null });
    expect([all.dataset.X.rows, split]).toEqual([150, undefined]);
  });

  test('takes zero of either sign for one value, and a number that is missing for itself', () => {
    expect(vectorOf(Float64Array.of(-0, Number.NaN))).toBe(vectorOf(Float64Array.of(0, Number.NaN)));
    expect(vectorOf(Float64Array.of(5))).not.toBe(vectorOf(Float64Array.of(6)));
  });
});

describe('reading labelled rows of 200,000 in three months', () => {
  const ROWS = 200_000;
  let database: TestDatabase;
  let pool: Pool;
  beforeAll(async () => {
    database = await createTestDatabase();
    pool = createPool({ url: database.url, onError: () => undefined, max: 1 });
    const directories = await makeDirectories();
    await publishFirstVersion(pool, { modelsDir: directories.modelsDir, now: new Date() });
    await directories.remove();
    const version = (await servedVersion(pool))!;
    const { X } = loadHousingDataset();
    const values = housing.columns.map(({ name, type }, column) => `${X.data[column]}::${type} as ${name}`);
    const names = housing.columns.map(({ name }) => name);
    // A version 7 UUID begins with its time in milliseconds.
    const made = `
      select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid as id, at, i
      from generate_series(1, ${ROWS}) as i,
        lateral (select date_trunc('month', now() at time zone 'UTC') at time zone 'UTC' + i * interval '90 days' / ${ROWS} as precise) as t,
        lateral (select date_trunc('milliseconds', precise) as at) as ms`;
    await pool.query(
      `insert into predictions (id, created_at, prediction, pipeline_version, ${names.join(', ')})
       select id, at, 20, '${version}', ${names.join(', ')} from (${made}) as made, (select ${values.join(', ')}) as house`,
    );
    await pool.query(
      `insert into ground_truth (prediction_id, predicted_at, actual, observed_at, received_at, revision, prediction, pipeline_version)
       select id, at, i, at, at, 1, 20, '${version}' from (${made}) as made where i % 2 = 0`,
    );
    await pool.query('analyze predictions, ground_truth');
  }, 60_000);
  afterAll(async () => {
    await pool.end();
    await database.drop();
  });

  interface Plan {
    'Node Type': string;
    'Relation Name'?: string;
    'Actual Loops': number;
    'Shared Hit Blocks': number;
    'Shared Read Blocks': number;
    Plans?: Plan[];
  }
  const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

  test('goes from key to key, each in its month, in steps that stay as small as they are', async () => {
    const asked: [text: string, values: unknown[] | undefined][] = [];
    const client = {
      query: (text: string, values?: unknown[]) => {
        asked.push([text, values]);
        return pool.query(text, values);
      },
    };
    const options = { contract: housing, shipped: housing, limit: 25_000 };
    const rows = await readLabelledRows(client, options);
    expect(rows).toHaveLength(25_000);
    expect(rows[0]!.actual).toBe(ROWS);
    expect(rows.at(-1)!.actual).toBe(ROWS - 2 * 24_999);

    const explained = async (start: string) => {
      const statements = asked.filter(([text]) => text.trimStart().startsWith(start));
      return await Promise.all(
        statements.map(async ([text, values]) => {
          const { rows: lines } = await pool.query(`explain (analyze, buffers, format json) ${text}`, values);
          return lines[0]['QUERY PLAN'][0].Plan as Plan;
        }),
      );
    };
    const pages = await explained('select prediction_id');
    const features = await explained('select found.*');
    expect([pages.length, features.length]).toEqual([3, 25]);
    for (const plan of [...pages, ...features]) {
      const scanned = nodesOf(plan).filter((node) => node['Node Type'] === 'Seq Scan' && node['Actual Loops'] > 0);
      // What has no rows is no index worth.
      expect(scanned.map((node) => node['Relation Name']).filter((name) => !name!.endsWith('_default'))).toEqual([]);
    }
    const blocks = (plan: Plan) => plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
    // Of 1,000 keys: the way down an index, and the row.
    for (const plan of features) expect(blocks(plan)).toBeLessThan(1_000 * 8);
    const months = features.map(
      (plan) =>
        new Set(
          nodesOf(plan)
            .filter((node) => node['Actual Loops'] > 0 && /^predictions_\d/.test(node['Relation Name'] ?? ''))
            .map((node) => node['Relation Name']),
        ).size,
    );
    expect(Math.max(...months)).toBeLessThanOrEqual(2);
    // 10,000 labels of a page: a few times what they fill, not the table.
    for (const plan of pages) expect(blocks(plan)).toBeLessThan(15_000);
  });
});
