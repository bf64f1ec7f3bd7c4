/** Held versions in the shadow of what is served, judged as truths come in. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { readDivergence } from '../../src/monitoring/divergence.ts';
import { publishFirstVersion } from '../../src/process/first-version.ts';
import { promoteVersion, resume } from '../../src/publishing/promote.ts';
import { gatesOf } from '../../src/registry/gate-decisions.ts';
import { newestPromotions, promotionsOf, servedVersion } from '../../src/registry/promotions.ts';
import { challengers, findVersion } from '../../src/registry/version-catalogue.ts';
import { isShadowDue, judgeChallengers } from '../../src/retraining/challengers.ts';
import type { TrainingRequest } from '../../src/retraining/training-plan.ts';
import { runTraining } from '../../src/retraining/training-run.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { DEAR, storeLabelled, worldOf } from '../support/labelled-world.ts';

const DAY_MS = 24 * 3_600_000;
const day = (days: number) => new Date(DEAR.getTime() + days * DAY_MS);

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

const { modelsDir: _, ...byHand } = {
  ...{ modelsDir: '', shipped: housing, promotedBy: 'test', reason: 'my choice', now: day(2) },
  transaction: <Result>(work: Parameters<typeof transaction<Result>>[1]) => transaction(pool, work),
};

async function train(now: Date, asked: Partial<TrainingRequest> = {}) {
  const outcome = await runTraining(
    {
      ...{ alpha: 1, seed: 0, labelled: true, promote: 'gate', promotedBy: 'schedule', reason: 'by cron', ...asked },
    },
    {
      withPool: (work) => work(pool),
      shipped: { contract: housing, dataset: loadHousingDataset },
      modelsDir: directories.modelsDir,
      now,
    },
  );
  return outcome!;
}

/** A version that is held, as there were too few truths. */
async function heldVersion(truths = 99): Promise<string> {
  await storeLabelled(pool, { world: worldOf(1), version: first, from: day(0), rows: truths });
  const { decision, version } = await train(day(1));
  expect(decision).toBe('held');
  return version!;
}

const label = (rows: number, from: Date, more = {}) =>
  storeLabelled(pool, { world: worldOf(rows), version: first, from, rows, ...more });
const judge = (now: Date, promotes = true) => judgeChallengers({ pool, shipped: housing, now, promotes });
const isDue = (now: Date) => isShadowDue({ pool, now, promotes: true });

test('a challenger is judged at 100, 200, … truths that are new to both, and promoted as it is when it is proven', async () => {
  const version = await heldVersion();
  expect(await judge(day(2))).toEqual([]);
  expect(await isDue(day(2.1))).toBe(false);
  // Too noisy to prove anything.
  const noisy = { truth: (price: number, i: number) => price + 60 * Math.sin(i) };
  await label(99, day(2), noisy);
  expect(await judge(day(3))).toEqual([]);
  await label(2, day(2.5), noisy);
  expect(await isDue(day(3))).toBe(true);
  const looked = await judge(day(3));
  expect(looked).toMatchObject([{ pipeline_version: version, decision: 'held', n: 101, look: 1 }]);
  // Once at so many.
  expect(await judge(day(3))).toEqual([]);

  const { sha256 } = (await findVersion(pool, version, { shipped: housing.declaration, now: day(3) }))!;
  let promoted: Awaited<ReturnType<typeof judge>> = [];
  for (const [i, rows] of [100, 200, 400, 800].entries()) {
    await label(rows, day(4 + i));
    promoted = await judge(day(5 + i));
    if (promoted[0]?.decision === 'promoted') break;
  }
  expect(promoted).toMatchObject([{ pipeline_version: version, decision: 'promoted', reason: 'better' }]);
  expect(await servedVersion(pool)).toBe(version);
  const gates = await gatesOf(pool, version, 10);
  const looks = gates.map(({ look }) => look);
  expect(looks.slice(-2)).toEqual([1, null]);
  expect(gates[0]).toMatchObject({ decision: 'promoted', judged_sha256: sha256, champion_version: first });
  expect(gates[0]!.alpha).toBe(0.05 / (looks[0]! * (looks[0]! + 1)));
  expect(await promotionsOf(pool, version, 1)).toMatchObject([
    { action: 'schedule', promoted_by: 'schedule', reason: expect.stringContaining('On ') },
  ]);
});

test('one that is found worse is rejected, and no challenger any more', async () => {
  await storeLabelled(pool, { world: worldOf(1), version: first, from: day(0), rows: 99, truth: () => 5 });
  const { version } = await train(day(1));
  await storeLabelled(pool, { world: worldOf(9, false), version: first, from: day(2), rows: 200 });
  expect(await judge(day(3))).toMatchObject([{ pipeline_version: version, decision: 'rejected' }]);
  expect(await challengers(pool, day(3))).toEqual([]);
  expect(await isDue(day(3))).toBe(false);
});

describe('no look is spent', () => {
  test('while a person has chosen what is served; after resume there is one', async () => {
    const version = await heldVersion();
    await label(150, day(2));
    await promoteVersion(first, { ...byHand, now: day(2) });
    expect(await judge(day(3))).toEqual([]);
    expect(await gatesOf(pool, version, 10)).toHaveLength(1);
    await resume({ ...byHand, now: day(3) });
    expect(await judge(day(3))).toMatchObject([{ pipeline_version: version }]);
  });

  test('where nothing may take over', async () => {
    await heldVersion();
    await label(150, day(2));
    expect(await judge(day(3), false)).toEqual([]);
  });

  test('on a version that is older than 30 days, or behind two newer ones', async () => {
    const version = await heldVersion();
    await label(150, day(2));
    expect(await challengers(pool, day(32))).toEqual([]);
    expect(await judge(day(32))).toEqual([]);
    const never = { promote: 'never' as const, labelled: false };
    for (const alpha of [2, 3]) await train(day(3), { ...never, alpha });
    expect(await challengers(pool, day(4))).not.toContain(version);
    expect(await judge(day(4))).toEqual([]);
  });

  test('on a version that the gate has not seen, as it was published to stay a challenger', async () => {
    const { version } = await train(day(1), { promote: 'never', labelled: false, alpha: 3 });
    await label(400, day(2));
    expect(await challengers(pool, day(3))).toEqual([version]);
    expect(await judge(day(3))).toEqual([]);
  });

  test('on rows of the same values, of which one counts', async () => {
    await heldVersion();
    const same = worldOf(3).house(day(2));
    const world = { ...worldOf(3), house: () => same };
    await storeLabelled(pool, { world, version: first, from: day(2), rows: 300 });
    expect(await isDue(day(3))).toBe(true);
    expect(await judge(day(3))).toEqual([]);
  });
});

test('one that somebody has overtaken while it was judged is not promoted', async () => {
  const version = await heldVersion();
  await label(1_600, day(2));
  const other = await train(day(3), { promote: 'never', labelled: false, alpha: 5 });
  let isFirst = true;
  const overtaking = new Proxy(pool, {
    get(target, name, receiver) {
      if (name !== 'connect') return Reflect.get(target, name, receiver);
      // The pool itself hands a callback, for single statements.
      return async (...callback: []) => {
        if (isFirst && callback.length === 0) {
          isFirst = false;
          await promoteVersion(other.version!, { ...byHand, now: day(3) });
        }
        return target.connect(...callback);
      };
    },
  });
  expect(await judgeChallengers({ pool: overtaking, shipped: housing, now: day(4), promotes: true })).toEqual([]);
  expect(await servedVersion(pool)).toBe(other.version);
  expect(await gatesOf(pool, version, 10)).toHaveLength(1);
  expect(await newestPromotions(pool, 5)).toHaveLength(2);
});

test('how far it is from what is served is measured once a day, on stored rows of the last 24 hours, without truths', async () => {
  const version = await heldVersion();
  await label(60, day(2));
  await judge(day(2.5));
  const measured = (await readDivergence(pool, version))!;
  expect(measured).toMatchObject({ champion: first, rows: 60, seen: 0, measuredAt: day(2.5) });
  expect(measured.mean_absolute_difference).toBeGreaterThan(0.1);
  expect(measured.p95_absolute_difference).toBeGreaterThan(measured.mean_absolute_difference!);
  expect(measured.correlation).toBeGreaterThan(0.8);
  expect(measured.beyond_interval_share).toBeLessThan(0.1);
  await judge(day(3.4));
  expect((await readDivergence(pool, version))!.measuredAt).toEqual(day(2.5));
  await judge(day(3.6));
  expect(await readDivergence(pool, version)).toMatchObject({ rows: 0, mean_absolute_difference: null });
  const never = { promote: 'never' as const, labelled: false };
  const { version: next } = await train(day(100), { ...never, alpha: 2 });
  await judge(day(100));
  expect(await readDivergence(pool, next!)).toMatchObject({ champion: first });
  expect(await readDivergence(pool, version)).toBeUndefined();
});

describe('a look is at rows that are new to both', () => {
  test('not at houses that the challenger has learned from and that are asked for again', async () => {
    const world = worldOf(1);
    const houses = Array.from({ length: 300 }, () => world.house(day(0)));
    const again = (from: Date) => {
      let asked = 0;
      const same = { ...world, house: () => houses[asked++]! };
      const truth = (price: number, i: number) => price + 60 * Math.sin(i);
      return storeLabelled(pool, { world: same, version: first, from, rows: houses.length, truth });
    };
    await again(day(0));
    const { version, decision } = await train(day(1));
    expect(decision).toBe('held');
    await again(day(2));
    // 300 truths more, of which 100 are of houses that were held out of its fit.
    expect(await judge(day(3))).toEqual([]);
    expect(await gatesOf(pool, version!, 10)).toHaveLength(1);
  });

  test('not at those of a champion that was promoted a moment ago', async () => {
    await label(99, day(0));
    const { pipeline, version } = await train(day(1));
    await train(day(1.1), { labelled: false, alpha: 300, promotedBy: 'train' });
    await label(1_600, day(2));
    const [promoted, other] = await judge(day(4));
    expect(promoted).toMatchObject({ pipeline_version: version, decision: 'promoted' });
    expect(other!.champion_version).toBe(version);
    expect(new Date(other!.holdout_from!).getTime()).toBeGreaterThan(pipeline.trainedThrough!.getTime());
  });
});

test('a promotion that fails for a while costs no look', async () => {
  const version = await heldVersion();
  await label(400, day(2));
  await database.query(
    `create function fail() returns trigger language plpgsql as $$ begin raise exception 'locked' using errcode = '55P03'; end $$`,
  );
  await database.query(
    'create trigger fails before insert on ml_pipeline_promotion for each row execute function fail()',
  );
  await expect(judge(day(3))).rejects.toMatchObject({ code: 'database_setup' });
  expect(await gatesOf(pool, version, 10)).toHaveLength(1);
  await database.query('drop trigger fails on ml_pipeline_promotion');
  expect(await judge(day(3))).toMatchObject([{ pipeline_version: version, decision: 'promoted', look: 1 }]);
});

test('where the truths of the champion are gone, nothing unproven takes its place', async () => {
  await label(600, day(0));
  const { version, decision } = await train(day(2));
  expect(decision).toBe('promoted');
  await database.query('truncate ground_truth');
  expect(await train(day(90))).toMatchObject({ decision: 'held', reason: 'too_few_labels' });
  expect(await servedVersion(pool)).toBe(version);
});
