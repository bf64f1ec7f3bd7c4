/** Learning from labelled predictions of a pipeline of somebody's own: texts, whole numbers, nulls, and no rows that ship. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPool, type Pool } from '../../src/database/pool.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { runTraining } from '../../src/retraining/training-run.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { answerTo } from '../support/requests.ts';

const data = join(import.meta.dirname, '../../examples/penguins.csv');
let app: TestApp;
let pool: Pool;
beforeAll(async () => {
  app = await startTestApp({}, { publishesFirst: true });
  pool = createPool({ url: app.database.url, onError: () => undefined, max: 2 });
});
afterAll(async () => {
  await pool.end();
  await app.close();
});

const train = async (asked: object, notes: string[] = []) =>
  (await runTraining(
    { alpha: 1, seed: 0, promotedBy: 'train', reason: 'test', ...asked },
    {
      withPool: (work) => work(pool),
      shipped: { contract: housing, dataset: loadHousingDataset },
      modelsDir: app.config.modelsDir,
      now: new Date(),
      onPlan: (plan) => notes.push(...plan.notes) >= 0,
    },
  ))!;

const penguin = (i: number) => ({
  species: ['Adelie', 'Chinstrap', 'Gentoo', 'a species nobody knows'][i % 4],
  island: 'Biscoe',
  bill_length_mm: 39 + (i % 50) / 10,
  bill_depth_mm: 17 + (i % 30) / 10,
  flipper_length_mm: 180 + (i % 40),
  sex: i % 5 === 0 ? null : 'male',
  year: 2007 + (i % 3),
});

const ask = <Answer>(path: string, body: object) => answerTo<Answer>(app.url + path, body);

/** Predicts them, and tells that they are twice as heavy as they look. */
async function label(instances: readonly object[]): Promise<number[]> {
  const { predictions, prediction_ids: ids } = await ask<{ predictions: number[]; prediction_ids: string[] }>(
    '/predict/batch',
    { instances },
  );
  await eventually(
    async () => (await pool.query('select from predictions where id = $1', [ids.at(-1)])).rows.length === 1,
  );
  const truths = ids.map((prediction_id, i) => ({ prediction_id, actual: 2 * predictions[i]! + (i % 10) }));
  await ask('/ground-truth/batch', { instances: truths });
  return predictions;
}

test('a schedule learns from them alone, and what is better takes over; houses that were labelled before are no penguins', async () => {
  const house = Object.fromEntries(housing.names.map((name, i) => [name, loadHousingDataset().X.data[i]]));
  const old = await ask<{ prediction_id: string }>('/predict', house);
  // A gate that has nothing to compare holds.
  const other = await train({ data, target: 'body_mass_g', promote: 'gate' });
  expect(other).toMatchObject({ decision: 'held', reason: 'too_few_labels', gate: { n: 0, champion_rmse: null } });
  const { version } = await train({ data, target: 'body_mass_g' });
  await eventually(async () => app.app.served()?.pipelineVersion === version);
  const schedule = { promote: 'gate', labelled: true, promotedBy: 'schedule' };
  await expect(train(schedule)).rejects.toThrow(
    /There are 0 labelled predictions of different rows, and no other rows .* npm run train/,
  );

  await label(Array(150).fill(penguin(0)));
  await expect(train(schedule)).rejects.toThrow(/There are 1 labelled predictions of different rows, /);

  const instances = Array.from({ length: 600 }, (_, i) => penguin(i));
  const predictions = await label(instances);
  await ask('/ground-truth', { prediction_id: old.prediction_id, actual: 24 });

  const notes: string[] = [];
  const outcome = await train(schedule, notes);
  expect(notes[0]).toContain('not those that ship: labelled predictions alone are learned from');
  expect(outcome).toMatchObject({ decision: 'promoted', reason: 'better' });
  const { trainingRows, declaration } = outcome.pipeline;
  expect(trainingRows).toMatchObject({ shipped: 0, labelled: 600 });
  expect(declaration.output.name).toBe('body_mass_g');
  await eventually(async () => app.app.served()?.pipelineVersion === outcome.version);
  const { predictions: heavier } = await ask<{ predictions: number[] }>('/predict/batch', { instances });
  expect(heavier[1]! / predictions[1]!).toBeGreaterThan(1.9);

  // What predicts something else cannot be held against them.
  await train({ promote: 'always', breaking: true });
  const beside = await train({ data, target: 'body_mass_g', labelled: true, promote: 'gate', breaking: true });
  expect(beside).toMatchObject({ decision: 'held', reason: 'not_comparable' });
  expect(beside.pipeline.trainingRows.shipped).toBeGreaterThan(300);
  expect(beside.pipeline.trainingRows.labelled).toBeGreaterThan(400);
});
