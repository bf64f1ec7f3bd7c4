import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createPool, type Pool } from '../../src/database/pool.ts';
import { type Label, type LabelResult, mayStillArrive, timeOfPredictionId } from '../../src/ground-truth/label.ts';
import { joinPending } from '../../src/ground-truth/pending.ts';
import { readLabel } from '../../src/ground-truth/read-label.ts';
import { recordLabels } from '../../src/ground-truth/record-labels.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const NOW = new Date('2026-11-20T12:00:00Z');
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const VERSION = '2026_11_01__00_00_00';

let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined, max: 16 });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
beforeEach(async () => {
  await database.query('truncate ground_truth, ground_truth_revision, predictions, live_quality_dirty');
});

/** A UUID version 7 of a time. */
function idAt(time: Date | number, number = 0): string {
  const hex = new Date(time).getTime().toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${number.toString(16).padStart(12, '0')}`;
}

/** What the relay does: brings predictions to the table. */
async function bring(ids: readonly string[], { prediction = 20, version = VERSION } = {}): Promise<void> {
  await pool.query(
    'insert into predictions (id, created_at, prediction, pipeline_version) select id, at, $3, $4 from unnest($1::uuid[], $2::timestamptz[]) as one (id, at)',
    [ids, ids.map(timeOfPredictionId), prediction, version],
  );
}

const record = (labels: readonly Label[], now = NOW) => recordLabels(pool, labels, now);
const stored = (predictionId: string) => readLabel(pool, predictionId, timeOfPredictionId(predictionId)!);
const ago = (milliseconds: number) => new Date(NOW.getTime() - milliseconds);

describe('a label', () => {
  const predictionId = idAt(ago(3 * DAY_MS));

  test('is stored, unchanged, corrected, superseded, withdrawn, and stored again after that', async () => {
    await bring([predictionId]);
    const at = (hour: number) => ago((12 - hour) * HOUR_MS);
    const steps: [actual: number | null, observedAt: Date, result: LabelResult, revision: number][] = [
      [24, at(1), 'stored', 1],
      [24, at(2), 'unchanged', 1],
      // Also older than the confirmation, which is what is kept.
      [25, new Date(at(2).getTime() - 1), 'superseded', 1],
      [25, at(2), 'corrected', 2],
      [null, at(3), 'withdrawn', 3],
      [null, at(4), 'unchanged', 3],
      [24, at(3), 'superseded', 3],
      [26, at(5), 'stored', 4],
    ];
    for (const [actual, observedAt, result, revision] of steps) {
      expect(await record([{ predictionId, actual, observedAt }])).toEqual([result]);
      expect((await stored(predictionId))!.revision).toBe(revision);
    }
    expect(await stored(predictionId)).toEqual({ actual: 26, observedAt: at(5), revision: 4 });
    expect(
      await database.query(
        'select revision, actual, observed_at, replaced_at from ground_truth_revision order by revision',
      ),
    ).toEqual([
      { revision: 1, actual: 24, observed_at: at(2), replaced_at: NOW },
      { revision: 2, actual: 25, observed_at: at(2), replaced_at: NOW },
      { revision: 3, actual: null, observed_at: at(4), replaced_at: NOW },
    ]);
  });

  test('is of now where nobody says when', async () => {
    await bring([predictionId]);
    await record([{ predictionId, actual: 1 }]);
    expect((await stored(predictionId))!.observedAt).toEqual(NOW);
  });

  test('that withdraws nothing leaves nothing behind', async () => {
    await bring([predictionId]);
    expect(await record([{ predictionId, actual: null }])).toEqual(['unchanged']);
    expect(await stored(predictionId)).toBeUndefined();
    expect(await database.query('select from live_quality_dirty')).toEqual([]);
  });

  test.each<[age: number, result: LabelResult]>([
    [0, 'pending'],
    [DAY_MS, 'pending'],
    [DAY_MS + 1, 'unknown'],
    [-5 * 60_000, 'pending'],
    [-5 * 60_000 - 1, 'unknown'],
  ])('whose prediction is not there is pending within a day, else unknown: %s ms, %s', async (age, result) => {
    const id = idAt(ago(age));
    expect(await record([{ predictionId: id, actual: 1 }])).toEqual([result]);
    expect(await stored(id)).toEqual(result === 'pending' ? { actual: 1, observedAt: NOW, revision: 1 } : undefined);
  });

  test('of a month that was dropped is unknown', async () => {
    const old = idAt(ago(40 * DAY_MS));
    await bring([old]);
    expect(await record([{ predictionId: old, actual: 1 }])).toEqual(['stored']);
    await database.query('delete from predictions');
    expect(await record([{ predictionId: old, actual: 2 }])).toEqual(['unknown']);
  });

  test('has the newest of its id in a batch count, wherever that stands', async () => {
    await bring([predictionId]);
    const items = [
      { predictionId, actual: 1, observedAt: ago(2) },
      { predictionId, actual: 2, observedAt: ago(1) },
      { predictionId, actual: 3, observedAt: ago(1) },
      { predictionId, actual: 4, observedAt: ago(3) },
    ];
    expect(await record(items)).toEqual(['superseded', 'superseded', 'stored', 'superseded']);
    expect(await stored(predictionId)).toMatchObject({ actual: 3, revision: 1 });
  });

  test('has its cell computed anew when a value changes, and not otherwise', async () => {
    await bring([predictionId]);
    const dirty = () => database.query('delete from live_quality_dirty returning pipeline_version, day::text');
    const cell = { pipeline_version: VERSION, day: '2026-11-17' };
    await record([{ predictionId, actual: 1, observedAt: ago(9) }]);
    expect(await dirty()).toEqual([cell]);
    await record([{ predictionId, actual: 1, observedAt: ago(8) }]);
    await record([{ predictionId, actual: 2, observedAt: ago(10) }]);
    expect(await dirty()).toEqual([]);
    await record([{ predictionId, actual: 2, observedAt: ago(7) }]);
    expect(await dirty()).toEqual([cell]);
    await record([{ predictionId, actual: null, observedAt: ago(6) }]);
    expect(await dirty()).toEqual([cell]);
  });
});

describe('a label that came before its prediction', () => {
  const predictionId = idAt(ago(HOUR_MS));
  const copied = () => database.query('select prediction, pipeline_version from ground_truth');

  test('is joined when that has come, with the value that it has by then', async () => {
    await record([{ predictionId, actual: 1, observedAt: ago(9) }]);
    expect(await joinPending(pool, NOW)).toEqual({ joined: 0, dropped: 0 });
    expect(await record([{ predictionId, actual: 2, observedAt: ago(8) }])).toEqual(['corrected']);
    expect(await copied()).toEqual([{ prediction: null, pipeline_version: null }]);
    await bring([predictionId]);
    expect(await joinPending(pool, NOW)).toEqual({ joined: 1, dropped: 0 });
    expect(await joinPending(pool, NOW)).toEqual({ joined: 0, dropped: 0 });
    expect(await copied()).toEqual([{ prediction: 20, pipeline_version: VERSION }]);
    expect(await database.query('select pipeline_version, day::text from live_quality_dirty')).toEqual([
      { pipeline_version: VERSION, day: '2026-11-20' },
    ]);
  });

  test('that was withdrawn is joined, and counts nowhere', async () => {
    await record([{ predictionId, actual: 1, observedAt: ago(9) }]);
    expect(await record([{ predictionId, actual: null, observedAt: ago(8) }])).toEqual(['withdrawn']);
    await bring([predictionId]);
    await joinPending(pool, NOW);
    expect(await copied()).toEqual([{ prediction: 20, pipeline_version: VERSION }]);
    expect(await database.query('select from live_quality_dirty')).toEqual([]);
  });

  test('is dropped after seven days', async () => {
    await record([{ predictionId, actual: 1 }]);
    const later = (milliseconds: number) => new Date(NOW.getTime() + 7 * DAY_MS + milliseconds);
    expect(await joinPending(pool, later(0))).toEqual({ joined: 0, dropped: 0 });
    expect(await joinPending(pool, later(1))).toEqual({ joined: 0, dropped: 1 });
    expect(await stored(predictionId)).toBeUndefined();
  });

  test('is found behind thousands of others whose predictions never come', async () => {
    const others = Array.from({ length: 2500 }, (_, i) => idAt(ago(HOUR_MS), i + 1));
    await record(others.map((id) => ({ predictionId: id, actual: 1 })));
    await record([{ predictionId, actual: 1 }], new Date(NOW.getTime() + 1000));
    await bring([predictionId]);
    expect(await joinPending(pool, NOW)).toEqual({ joined: 1, dropped: 0 });
  });
});

test('the recorded events give these results, and these labels at the end', async () => {
  interface Step {
    relay?: { prediction_id: string; created_at_ms: number; pipeline_version: string; prediction: number }[];
    now_ms: number;
    instances: { prediction_id: string; actual: number | null; observed_at_ms?: number }[];
    results: LabelResult[];
  }
  const { steps, labels } = JSON.parse(
    readFileSync(new URL('../oracle/fixtures/learning-loop/label_events.json', import.meta.url), 'utf8'),
  ) as {
    steps: Step[];
    labels: Record<string, { actual: number | null; observed_at_ms: number; revision: number }>;
  };
  for (const { relay, instances, now_ms, results } of steps) {
    if (relay) {
      for (const { prediction_id, prediction, pipeline_version: version } of relay)
        await bring([prediction_id], { prediction, version });
      await joinPending(pool, NOW);
      continue;
    }
    const asked = instances.map(({ prediction_id, actual, observed_at_ms }) => ({
      predictionId: prediction_id,
      actual,
      observedAt: observed_at_ms === undefined ? undefined : new Date(observed_at_ms),
    }));
    expect(await record(asked, new Date(now_ms))).toEqual(results);
  }
  const found = await database.query<{ id: string; actual: number | null; observed_at: Date; revision: number }>(
    'select prediction_id as id, actual, observed_at, revision from ground_truth',
  );
  expect(
    Object.fromEntries(
      found.map(({ id, observed_at, ...label }) => [id, { ...label, observed_at_ms: observed_at.getTime() }]),
    ),
  ).toEqual(labels);
});

describe('the rules', () => {
  /** The rules as a reader has them in mind: one label after another, in memory. */
  class Model {
    readonly predictions = new Set<string>();
    readonly labels = new Map<
      string,
      { actual: number | null; observedAt: number; revision: number; isJoined: boolean }
    >();

    record(batch: readonly Label[], now: Date): LabelResult[] {
      return batch.map(({ predictionId: id, actual, observedAt = now }, place) => {
        const isOutdone = batch.some((other, i) => {
          const at = (other.observedAt ?? now).getTime();
          return other.predictionId === id && (at > observedAt.getTime() || (at === observedAt.getTime() && i > place));
        });
        return isOutdone ? 'superseded' : this.#judge(id, actual, observedAt.getTime(), now);
      });
    }

    #judge(id: string, actual: number | null, observedAt: number, now: Date): LabelResult {
      const isStored = this.predictions.has(id);
      if (!isStored && !mayStillArrive(timeOfPredictionId(id)!, now)) return 'unknown';
      const label = this.labels.get(id);
      if (label && observedAt < label.observedAt) return 'superseded';
      if (!label && actual === null) return 'unchanged';
      if (label && label.actual === actual) {
        label.observedAt = observedAt;
        return 'unchanged';
      }
      this.labels.set(id, {
        actual,
        observedAt,
        revision: (label?.revision ?? 0) + 1,
        isJoined: isStored || label?.isJoined === true,
      });
      if (actual === null) return 'withdrawn';
      if (label && label.actual !== null) return 'corrected';
      return isStored ? 'stored' : 'pending';
    }

    join(): void {
      for (const [id, label] of this.labels) label.isJoined ||= this.predictions.has(id);
    }
  }

  const ids = [0, 1, 2, 3].map((i) => idAt(NOW.getTime() + i * 12 * HOUR_MS, i));
  const step = fc.oneof(
    { arbitrary: fc.record({ bring: fc.constantFrom(...ids) }), weight: 1 },
    { arbitrary: fc.record({ pass: fc.integer({ min: 1, max: 20 }) }), weight: 1 },
    { arbitrary: fc.constant('join' as const), weight: 1 },
    {
      arbitrary: fc.record({
        labels: fc.array(
          fc.record({
            id: fc.constantFrom(...ids),
            actual: fc.option(fc.integer({ min: 1, max: 3 })),
            hoursAgo: fc.option(fc.integer({ min: 0, max: 4 })),
          }),
          { minLength: 1, maxLength: 6 },
        ),
      }),
      weight: 4,
    },
  );

  test('are those of the model, whatever the order of labels, predictions and time', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        await database.query('delete from ground_truth; delete from ground_truth_revision; delete from predictions');
        const model = new Model();
        let now = NOW.getTime();
        for (const one of steps) {
          if (one === 'join') {
            await joinPending(pool, new Date(now));
            model.join();
          } else if ('pass' in one) now += one.pass * HOUR_MS;
          else if ('bring' in one) {
            if (!model.predictions.has(one.bring)) await bring([one.bring]);
            model.predictions.add(one.bring);
          } else {
            const batch = one.labels.map(({ id, actual, hoursAgo }) => ({
              predictionId: id,
              actual,
              observedAt: hoursAgo === null ? undefined : new Date(now - hoursAgo * HOUR_MS),
            }));
            expect(await record(batch, new Date(now))).toEqual(model.record(batch, new Date(now)));
          }
        }
        const rows = await database.query<{ id: string; observed_at: Date; revisions: string; version: string | null }>(
          `select prediction_id as id, actual, observed_at, revision, pipeline_version as version,
             (select count(*) from ground_truth_revision as r where r.prediction_id = g.prediction_id) as revisions
           from ground_truth as g`,
        );
        const found = rows.map(({ id, observed_at, revisions, version, ...label }) => {
          expect(Number(revisions)).toBe((label as unknown as { revision: number }).revision - 1);
          return [id, { ...label, observedAt: observed_at.getTime(), isJoined: version !== null }];
        });
        expect(Object.fromEntries(found)).toEqual(Object.fromEntries(model.labels));
      }),
      { numRuns: 60 },
    );
  });
});

describe('batches beside each other', () => {
  test('in opposite orders never wait in a circle, and end as if one had come after the other', async () => {
    const ids = Array.from({ length: 200 }, (_, i) => idAt(ago(DAY_MS + i), i));
    await bring(ids.slice(0, 150));
    const rounds = Array.from({ length: 24 }, (_, round) => {
      const labels = ids.map((predictionId) => ({ predictionId, actual: round, observedAt: ago(1000 - round) }));
      return record(round % 2 === 0 ? labels : labels.toReversed());
    });
    const results = await Promise.all(rounds);
    const countOf = (result: LabelResult) => results.flat().filter((one) => one === result).length;
    expect(countOf('stored')).toBe(150);
    const [{ labels, least, most }] = (await database.query(
      'select count(*)::int as labels, min(actual) as least, max(actual) as most from ground_truth',
    )) as [{ labels: number; least: number; most: number }];
    expect({ labels, least, most }).toEqual({ labels: 150, least: 23, most: 23 });
    // Each that took the place of another one is there with the one before.
    const replaced = await database.query('select from ground_truth_revision');
    expect(replaced).toHaveLength(countOf('corrected'));
  });
});

test('a look-up goes to the partition of each id and to no other', async () => {
  const explained: string[] = [];
  const ids = [5, 15].map((day) => idAt(new Date(`2026-10-${String(day).padStart(2, '0')}T00:00:00Z`)));
  await database.query("select ensure_month_partition('predictions', 'created_at', '2026-10-01', $1)", [NOW]);
  await database.query("select ensure_month_partition('ground_truth', 'predicted_at', '2026-10-01', $1)", [NOW]);
  for (const month of ['2026-10', '2026-11', '2026-12']) {
    await pool.query(
      `insert into predictions (id, created_at, prediction, pipeline_version)
       select gen_random_uuid(), $1::timestamptz + i * interval '1 second', 1, '${VERSION}' from generate_series(1, 20000) as i`,
      [`${month}-02`],
    );
  }
  await bring(ids);
  await database.query('analyze predictions');
  const watched = createPool({ url: database.url, onError: () => undefined, max: 1 });
  try {
    const client = await watched.connect();
    const query = client.query.bind(client) as (text: string, values?: unknown[]) => Promise<{ rows: unknown[] }>;
    Object.assign(client, {
      async query(text: string, values?: unknown[]) {
        if (/^\s*(select (id|prediction_id)|update|insert into ground_truth)/.test(text)) {
          await query('savepoint before');
          const { rows } = await query(`explain (analyze, costs off, timing off) ${text}`, values);
          await query('rollback to before');
          explained.push(rows.map((row) => Object.values(row as object)[0]).join('\n'));
        }
        return await query(text, values);
      },
    });
    client.release();
    expect(
      await recordLabels(
        watched,
        ids.map((predictionId) => ({ predictionId, actual: 1 })),
        NOW,
      ),
    ).toEqual(['stored', 'stored']);
    expect(
      await recordLabels(
        watched,
        ids.map((predictionId) => ({ predictionId, actual: 2 })),
        new Date(NOW.getTime() + 1),
      ),
    ).toEqual(['corrected', 'corrected']);
  } finally {
    await watched.end();
  }
  const lookUps = explained.filter((plan) => plan.includes('on predictions_'));
  expect(lookUps.length).toBeGreaterThan(0);
  for (const plan of lookUps) {
    expect(plan).toMatch(/Index Scan using predictions_2026_10_pkey on predictions_2026_10 .*rows=1(\.00)? loops=2/);
    expect(plan).toMatch(/on predictions_2026_12.*\(never executed\)/);
    expect(plan).toMatch(/on predictions_2026_11.*\(never executed\)/);
  }
});
