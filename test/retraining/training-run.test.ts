/** Trainings on labelled predictions, and what the gate makes of them, against a real PostgreSQL and ONNX Runtime. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { recordLabels } from '../../src/ground-truth/record-labels.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { publishFirstVersion } from '../../src/process/first-version.ts';
import { promoteVersion } from '../../src/publishing/promote.ts';
import { gatesOf } from '../../src/registry/gate-decisions.ts';
import { servedVersion } from '../../src/registry/promotions.ts';
import { findVersion } from '../../src/registry/version-catalogue.ts';
import type { TrainingRequest } from '../../src/retraining/training-plan.ts';
import { runTraining, type TrainingContext } from '../../src/retraining/training-run.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { DEAR, storeLabelled, worldOf } from '../support/labelled-world.ts';
import { blocksOf } from '../support/markdown.ts';

const DAY_MS = 24 * 3_600_000;
const daysOn = (days: number) => new Date(DEAR.getTime() + days * DAY_MS);

let database: TestDatabase;
let directories: ServerDirectories;
let pool: Pool;
let first: string;
beforeEach(async () => {
  database = await createTestDatabase();
  directories = await makeDirectories();
  pool = createPool({ url: database.url, onError: () => undefined, max: 2 });
  await publishFirstVersion(pool, { modelsDir: directories.modelsDir, now: new Date('2031-01-01T00:00:00Z') });
  first = (await servedVersion(pool))!;
});
afterEach(async () => {
  await pool.end();
  await database.drop();
  await directories.remove();
});

const nightly: TrainingRequest = {
  ...{ alpha: 1, seed: 0, labelled: true, promote: 'gate', promotedBy: 'schedule', reason: 'retraining by cron' },
};

async function run(asked: Partial<TrainingRequest> = {}, context: Partial<TrainingContext> = {}) {
  const outcome = await runTraining(
    { ...nightly, ...asked },
    {
      withPool: (work) => work(pool),
      shipped: { contract: housing, dataset: loadHousingDataset },
      modelsDir: directories.modelsDir,
      now: daysOn(10),
      ...context,
    },
  );
  return outcome!;
}

const served = () => servedVersion(pool);
const shown = async (version: string) =>
  (await findVersion(pool, version, { shipped: housing.declaration, now: daysOn(10) }))!;

describe('while no prediction has a truth', () => {
  test('a schedule registers a new version that takes over, of equal bytes too', async () => {
    const one = await run();
    const two = await run();
    expect([one.decision, two.decision]).toEqual(['promoted', 'promoted']);
    expect(two).toMatchObject({ reason: 'no_labels', gate: null });
    expect(two.pipeline.sha256).toBe(one.pipeline.sha256);
    expect(await served()).toBe(two.version);
    expect(two.version).not.toBe(one.version);
  });

  test('a training by hand for the gate is judged by its cross-validation where the rows are those of the champion', async () => {
    const near = await run({ promotedBy: 'train', alpha: 2 });
    expect(near).toMatchObject({ decision: 'promoted', reason: 'cv_not_worse' });
    expect(near.gate).toMatchObject({ champion_version: first, n: 0, look: null, decided_by: 'train', p_better: null });
    const far = await run({ promotedBy: 'train', alpha: 1e6 });
    expect(far).toMatchObject({ decision: 'held', reason: 'cv_worse' });
    expect(await served()).toBe(near.version);
  });
});

test('too few truths hold it, and the same rows again publish nothing', async () => {
  await storeLabelled(pool, { world: worldOf(1), version: first, from: daysOn(0), rows: 60 });
  const held = await run();
  expect(held).toMatchObject({ decision: 'held', reason: 'too_few_labels' });
  expect(held.gate).toMatchObject({ n: 60, look: null, challenger_rmse: null, holdout_from: daysOn(0).toISOString() });
  expect(held.gate!.champion_rmse).toBeGreaterThan(5);
  expect(held.sentence).toContain('60 labelled predictions are new');
  expect(await shown(held.version!)).toMatchObject({
    ...{ role: 'challenger', training_rows: { shipped: 506, labelled: 60, duplicates: 0 } },
    trained_through: daysOn(59 / 1440).toISOString(),
  });
  const again = await run();
  expect(again).toMatchObject({ decision: 'unchanged', version: null, gate: null });
  expect(again.sentence).toContain(held.version);
  expect(await served()).toBe(first);
});

describe('in a world in which rooms have become dear', () => {
  beforeEach(async () => {
    await storeLabelled(pool, { world: worldOf(2), version: first, from: daysOn(0), rows: 1_500 });
  });

  test('what has learned of it is proven better, and what is promoted has learned from all rows', async () => {
    const outcome = await run();
    expect(outcome).toMatchObject({ decision: 'promoted', reason: 'better' });
    expect(outcome.gate).toMatchObject({
      ...{ champion_version: first, look: 1, n: 300, alpha: 0.025, decision: 'promoted', decided_by: 'schedule' },
      holdout_from: daysOn(1_200 / 1_440).toISOString(),
      holdout_to: daysOn(1_499 / 1_440).toISOString(),
    });
    expect(outcome.gate!.challenger_rmse).toBeLessThan(outcome.gate!.champion_rmse!);
    expect(outcome.gate!.judged_sha256).not.toBe(outcome.pipeline.sha256);
    expect(outcome.sentence).toMatch(
      /^On 300 labelled predictions of 2031-03-01 to 2031-03-02, new to both, .*It is better\.$/,
    );
    const version = await shown(outcome.version!);
    expect(version).toMatchObject({
      ...{ role: 'champion', training_rows: { shipped: 506, labelled: 1_500, duplicates: 0 } },
      trained_through: daysOn(1_499 / 1_440).toISOString(),
      gates: [outcome.gate],
    });
    // All that is known has been learned.
    expect(await run()).toMatchObject({ decision: 'unchanged' });
  });

  test('what has learned lies is worse, published and never a challenger', async () => {
    const lies = { world: worldOf(3), version: first, from: daysOn(2), rows: 3_000, truth: () => 5 };
    await storeLabelled(pool, lies);
    await storeLabelled(pool, { world: worldOf(4, false), version: first, from: daysOn(5), rows: 1_200 });
    const outcome = await run();
    expect(outcome).toMatchObject({ decision: 'rejected', reason: 'worse', gate: { decision: 'rejected', n: 1_140 } });
    expect(outcome.gate!.p_worse).toBeLessThan(0.01);
    expect(await shown(outcome.version!)).toMatchObject({ role: 'retired', promoted_at: null });
    expect(await served()).toBe(first);
  });

  test('a champion that has been changed meanwhile is not replaced: the fit that was judged is held', async () => {
    const other = await run({ promote: 'never' });
    let changes = true;
    const outcome = await run(
      { promotedBy: 'train' },
      {
        async withPool(work) {
          const result = await work(pool);
          if (!changes) return result;
          changes = false;
          await promoteVersion(other.version!, {
            transaction: (inside) => transaction(pool, inside),
            ...{ shipped: housing, now: daysOn(11), promotedBy: 'test', reason: 'my choice' },
          });
          return result;
        },
      },
    );
    expect(outcome).toMatchObject({ decision: 'held', reason: 'champion_changed', gate: { champion_version: first } });
    expect(outcome.pipeline.sha256).toBe(outcome.gate!.judged_sha256);
    expect(await shown(outcome.version!)).toMatchObject({ sha256: outcome.gate!.judged_sha256, promoted_at: null });
    expect(await served()).toBe(other.version);
  });

  test('while a person has chosen what is served the proof is kept, and nothing is promoted', async () => {
    await promoteVersion(first, {
      transaction: (inside) => transaction(pool, inside),
      ...{ shipped: housing, now: daysOn(9), promotedBy: 'test', reason: 'my choice' },
    });
    const outcome = await run();
    expect(outcome).toMatchObject({
      decision: 'held',
      reason: 'hand',
      gate: { decision: 'held', reason: 'schedules_hold' },
    });
    expect(await served()).toBe(first);
    expect((await shown(outcome.version!)).role).toBe('challenger');
  });

  test('a dry run says what would be, and writes nothing', async () => {
    const outcome = await run({ dryRun: true });
    expect(outcome).toMatchObject({ decision: 'promoted', reason: 'better', version: null });
    expect(outcome.gate).toMatchObject({ gate_id: null, pipeline_version: null, n: 300, champion_version: first });
    expect(await database.query('select from ml_pipeline_gate')).toEqual([]);
    expect(await served()).toBe(first);
  });

  test('a training by hand promotes without a test, also from labelled rows alone', async () => {
    const outcome = await run({ promotedBy: 'train', promote: undefined, withoutShipped: true });
    expect(outcome).toMatchObject({ decision: 'promoted', reason: 'always', gate: null });
    expect((await shown(outcome.version!)).training_rows).toEqual({ shipped: 0, labelled: 1_500, duplicates: 0 });
    expect(await gatesOf(pool, outcome.version!, 5)).toEqual([]);
  });
});

test('what was served on a file of the same columns learns from labelled rows alone, and says so where they are too few', async () => {
  await pool.query('update ml_pipeline set data_file = \'{"name": "mine.csv"}\'');
  await storeLabelled(pool, { world: worldOf(5), version: first, from: daysOn(0), rows: 99 });
  await expect(run()).rejects.toThrow(/There are 99 labelled predictions of different rows, and no other rows/);
  await storeLabelled(pool, { world: worldOf(6), version: first, from: daysOn(1), rows: 400 });
  const notes: string[] = [];
  const outcome = await run({}, { onPlan: (plan) => notes.push(...plan.notes) > 0 });
  expect(outcome.pipeline.trainingRows).toMatchObject({ shipped: 0 });
  expect(notes[0]).toContain('trained on mine.csv, which is not kept');
  // Nor do they come back the night after.
  await promoteVersion(outcome.version!, {
    transaction: (inside) => transaction(pool, inside),
    ...{ shipped: housing, now: daysOn(3), promotedBy: 'test', reason: 'mine' },
  });
  const again = await run({ promotedBy: 'train' }, { onPlan: (plan) => notes.push(...plan.notes) > 0 });
  expect(again.pipeline.trainingRows).toMatchObject({ shipped: 0 });
  expect(notes.at(-2)).toContain('trained without the rows that ship');
});

test('the rows of a version can be found again from what is recorded of it, after labels have come and changed', async () => {
  const houses = await storeLabelled(pool, { world: worldOf(7), version: first, from: daysOn(0), rows: 300 });
  const asked = { promotedBy: 'train', promote: 'always' as const };
  const { version, pipeline } = await run(asked);
  // A correction, a withdrawal, and a first truth of an old prediction, all of them later.
  const later = daysOn(20);
  const [a, b] = houses as [(typeof houses)[0], (typeof houses)[0]];
  await recordLabels(pool, [{ predictionId: a.predictionId, actual: 1, observedAt: later }], later);
  await recordLabels(pool, [{ predictionId: b.predictionId, actual: null, observedAt: later }], later);
  await storeLabelled(pool, { world: worldOf(8), version: first, from: daysOn(21), rows: 30 });
  expect((await run({ ...asked, dryRun: true })).pipeline.dataSha256).not.toBe(pipeline.dataSha256);

  const docs = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8');
  const query = blocksOf(docs, 'sql').find((block) => block.includes('labels_received_until'))!;
  const { rows } = await pool.query(query.replace('2026_11_23__03_00_00', version!));
  expect(rows.map(({ prediction_id, actual }) => [prediction_id, actual])).toEqual(
    houses.map(({ predictionId, actual }) => [predictionId, actual]),
  );
});
