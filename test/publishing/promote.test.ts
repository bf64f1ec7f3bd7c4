import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { type PromotionOptions, promoteVersion, resume, rollBack } from '../../src/publishing/promote.ts';
import { publish } from '../../src/publishing/publish.ts';
import { insertPipeline, lockRegistry, markRejected, type NewPipeline } from '../../src/registry/pipeline-versions.ts';
import { holdOnSchedules, PROMOTION_CHANNEL, type PromotionAction, promote } from '../../src/registry/promotions.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { contractOf, loadWines, wines } from '../support/declaration.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';

let database: TestDatabase;
let pool: Pool;
let directories: ServerDirectories;
let pipeline: NewPipeline;
let options: PromotionOptions;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined, max: 5 });
  directories = await makeDirectories();
  pipeline = trainPipeline(loadWines(), { contract: wines, alpha: 1, seed: 0 });
  options = {
    transaction: (work) => transaction(pool, work),
    shipped: wines,
    now: new Date(),
    promotedBy: 'pipelines',
    reason: 'because',
  };
});
afterAll(async () => {
  await pool.end();
  await directories.remove();
  await database.drop();
});
afterEach(async () => {
  await database.query('truncate ml_pipeline cascade');
});

const publishChallenger = (what = pipeline) =>
  transaction(pool, (client) => insertPipeline(client, what, { now: new Date() }));

async function publishNow(action: 'train' | 'schedule' = 'train', promotes = true): Promise<string> {
  const { modelsDir } = directories;
  const how = {
    ...options,
    modelsDir,
    now: new Date(),
    promotedBy: action,
    action,
    promotes,
    breaking: true,
  };
  return (await publish(pipeline, how)).pipelineVersion;
}

async function history(): Promise<{ version: string; action: PromotionAction }[]> {
  return await database.query(
    'select pipeline_version as version, action from ml_pipeline_promotion order by promotion_id',
  );
}

async function served(): Promise<string | undefined> {
  return (await history()).at(-1)?.version;
}

async function codeOf(failing: Promise<unknown>): Promise<string> {
  return await failing.then(
    () => 'none',
    (error: { code: string }) => error.code,
  );
}

describe('a promotion by hand', () => {
  test('makes a challenger the served one, and answers with the entry', async () => {
    const first = await publishNow();
    const challenger = await publishChallenger();
    const entry = await promoteVersion(challenger, options);
    expect(entry).toEqual({
      promotion_id: expect.any(Number),
      version: challenger,
      previous: first,
      action: 'hand',
      promoted_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      promoted_by: 'pipelines',
      reason: 'because',
    });
    expect(await history()).toEqual([
      { version: first, action: 'train' },
      { version: challenger, action: 'hand' },
    ]);
  });

  test('of the served version is one more entry', async () => {
    const version = await publishNow();
    expect(await promoteVersion(version, options)).toMatchObject({ version, previous: version, action: 'hand' });
    expect(await history()).toHaveLength(2);
  });

  test('is told to listeners once it is committed', async () => {
    const version = await publishChallenger();
    const listener = await pool.connect();
    const heard: (string | undefined)[] = [];
    listener.on('notification', ({ payload }) => heard.push(payload));
    await listener.query(`listen "${PROMOTION_CHANNEL}"`);
    await promoteVersion(version, options);
    await eventually(async () => heard.length > 0);
    expect(heard).toEqual([version]);
    listener.release(true);
  });

  test('of a version that is unknown, rejected or emptied is refused, and so is one that cannot be read here', async () => {
    const version = await publishNow();
    const [rejected, emptied, later] = [
      await publishChallenger(),
      await publishChallenger(),
      await publishChallenger(),
    ];
    await markRejected(pool, rejected, { reason: 'It is empty.', now: new Date() });
    await database.query("update ml_pipeline set artefact = '' where pipeline_version = $1", [emptied]);
    await database.query(
      `update ml_pipeline set declaration = declaration || '{"later": 1}' where pipeline_version = $1`,
      [later],
    );
    expect(await codeOf(promoteVersion('2020_01_01__00_00_00', options))).toBe('unknown_version');
    await expect(promoteVersion(rejected, options)).rejects.toMatchObject({
      code: 'version_rejected',
      message: 'It is empty. Promote another one.',
    });
    expect(await codeOf(promoteVersion(emptied, options))).toBe('version_emptied');
    expect(await codeOf(promoteVersion(later, options))).toBe('version_rejected');
    expect(await served()).toBe(version);
    expect(await history()).toHaveLength(1);
  });

  test('adds the columns of its features, and waits for a lock on the table without holding others up', async () => {
    await database.query('alter table predictions drop column if exists acidity');
    const version = await publishChallenger();
    const reader = await pool.connect();
    await reader.query('begin; select count(*) from predictions');
    let tries = 0;
    const counted: PromotionOptions = {
      ...options,
      transaction: (work) => {
        tries++;
        return transaction(pool, work);
      },
    };
    const promoting = promoteVersion(version, counted);
    await eventually(async () => tries === 2);
    expect(await history()).toEqual([]);
    await reader.query('rollback');
    reader.release();
    await promoting;
    const columns = await database.query(
      "select from pg_attribute where attrelid = 'predictions'::regclass and attname = 'acidity'",
    );
    expect(columns).toHaveLength(1);
  });
});

describe('a change of the contract', () => {
  const [acidity, ...others] = wines.declaration.features;
  const cellars = contractOf(others, wines.declaration.output);
  let [old, other] = ['', ''];

  async function publishBoth(): Promise<void> {
    old = await publishNow();
    other = await publishChallenger({ ...pipeline, declaration: cellars.declaration });
  }

  test('that breaks requests of today is refused, by hand and by a roll back, unless it is asked for', async () => {
    await publishBoth();
    await expect(promoteVersion(other, options)).rejects.toMatchObject({
      code: 'breaking_change',
      status: 409,
      message: expect.stringMatching(/acidity is gone.*--breaking, or "breaking": true/),
    });
    await promoteVersion(other, { ...options, breaking: true });
    await expect(rollBack(options)).rejects.toMatchObject({
      code: 'breaking_change',
      message: expect.stringContaining(`${acidity!.name} is new and not optional`),
    });
    expect(await served()).toBe(other);
    expect(await rollBack({ ...options, breaking: true })).toMatchObject({ version: old, action: 'rollback' });
  });

  test('breaks nobody where what is served was published by a start', async () => {
    await publishBoth();
    await database.query("update ml_pipeline_promotion set promoted_by = 'start'");
    await promoteVersion(other, options);
    expect(await served()).toBe(other);
  });
});

describe('a roll back', () => {
  test('goes one further each time, and then no further', async () => {
    const [a, b, c] = [await publishNow(), await publishNow(), await publishNow()];
    expect(await rollBack(options)).toMatchObject({ version: b, previous: c, action: 'rollback' });
    expect(await rollBack(options)).toMatchObject({ version: a, previous: b });
    expect(await codeOf(rollBack(options))).toBe('nothing_to_roll_back');
    expect(await served()).toBe(a);
  });

  test('never goes to what a roll back has left, until that is promoted again', async () => {
    const [a, b, c] = [await publishNow(), await publishNow(), await publishNow()];
    await rollBack(options);
    const d = await publishNow();
    expect(await rollBack(options)).toMatchObject({ version: b, previous: d });
    await promoteVersion(c, options);
    await promoteVersion(a, options);
    expect(await rollBack(options)).toMatchObject({ version: c, previous: a });
  });

  test('has nowhere to go before there are two versions', async () => {
    expect(await codeOf(rollBack(options))).toBe('nothing_to_roll_back');
    await publishNow();
    expect(await codeOf(rollBack(options))).toBe('nothing_to_roll_back');
  });
});

describe('schedules', () => {
  test('hold while the newest entry is a promotion by hand or a roll back', async () => {
    const holds = async () => (await holdOnSchedules(pool)) !== undefined;
    expect(await holds()).toBe(false);
    const [first, second] = [await publishNow(), await publishNow()];
    expect(await holds()).toBe(false);
    await rollBack(options);
    expect(await holdOnSchedules(pool)).toMatchObject({ version: first, previous: second, action: 'rollback' });
    await resume(options);
    expect(await holds()).toBe(false);
    await database.query(
      `insert into ml_pipeline_promotion (pipeline_version, promoted_by, reason) values ($1, 'me', 'plain SQL')`,
      [first],
    );
    expect(await holds()).toBe(true);
    await publishNow('train');
    expect(await holds()).toBe(false);
  });

  test('that hold publish a challenger: a promotion by hand that comes while they train is not undone', async () => {
    const first = await publishNow();
    await promoteVersion(first, options);
    const version = await publishNow('schedule');
    expect(await served()).toBe(first);
    await resume(options);
    await publishNow('schedule');
    expect(await served()).not.toBe(first);
    expect((await history()).map((entry) => entry.version)).not.toContain(version);
  });

  test('go on with what is served, also where a server has rejected what was promoted last', async () => {
    expect(await codeOf(resume(options))).toBe('unknown_version');
    const [good, bad] = [await publishNow(), await publishNow()];
    await markRejected(pool, bad, { reason: 'It is empty.', now: new Date() });
    expect(await resume(options)).toMatchObject({ version: good, previous: bad, action: 'resume' });
  });
});

describe('at the same time', () => {
  test('two roll backs go two versions back, and a third has nowhere to go', async () => {
    const [a, b] = [await publishNow(), await publishNow(), await publishNow()];
    const ended = await Promise.allSettled([rollBack(options), rollBack(options), rollBack(options)]);
    expect(ended.map(({ status }) => status).sort()).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect((await history()).slice(-2)).toEqual([
      { version: b, action: 'rollback' },
      { version: a, action: 'rollback' },
    ]);
  });

  test('a promotion waits for a publication, and its previous version is the published one', async () => {
    const first = await publishNow();
    const challenger = await publishChallenger();
    let promoting: ReturnType<typeof promoteVersion> | undefined;
    const published = await transaction(pool, async (client) => {
      const version = await insertPipeline(client, pipeline, { now: new Date() });
      promoting = promoteVersion(challenger, options);
      await eventually(() =>
        database
          .query("select from pg_locks where locktype = 'advisory' and not granted")
          .then(({ length }) => length > 0),
      );
      await promote(client, version, {
        action: 'train',
        now: new Date(),
        promotedBy: 'train',
        reason: 'new training',
      });
      return version;
    });
    expect(await promoting).toMatchObject({ version: challenger, previous: published });
    expect((await history()).map(({ version }) => version)).toEqual([first, published, challenger]);
  });
});

/** The rules in plain words: a list of entries, read from its end. */
class Model {
  readonly entries: { version: number; action: PromotionAction }[] = [];
  readonly rejected = new Set<number>();

  versionToRollBackTo(): number | undefined {
    const present = this.entries.at(-1)?.version;
    const passed = new Set<number | undefined>([present]);
    for (let at = this.entries.length - 1; at >= 0; at--) {
      const { version } = this.entries[at]!;
      if (passed.has(version)) continue;
      passed.add(version);
      const isLeft = this.entries[at + 1]?.action === 'rollback';
      if (!isLeft && !this.rejected.has(version)) return version;
    }
    return undefined;
  }

  holdsSchedules(): boolean {
    return ['hand', 'rollback'].includes(this.entries.at(-1)?.action ?? '');
  }

  served(): number | undefined {
    return this.entries.findLast(({ version }) => !this.rejected.has(version))?.version;
  }
}

const step = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ what: 'rollback' as const }) },
  fc.constant({ what: 'resume' as const }),
  fc.record({ what: fc.constantFrom('promote' as const, 'reject' as const), version: fc.nat({ max: 4 }) }),
  fc.record({ what: fc.constant('train' as const), version: fc.nat({ max: 4 }) }),
);

test('every history ends as the rules say, whatever is in it', { timeout: 120_000 }, async () => {
  const names: string[] = [];
  for (let i = 0; i < 5; i++) names.push(await publishChallenger());
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 16 }), async (steps) => {
      await database.query('truncate ml_pipeline_promotion');
      await database.query('update ml_pipeline set rejected_at = null, rejected_reason = null');
      const model = new Model();
      const add = (version: number, action: PromotionAction) => void model.entries.push({ version, action });
      for (const one of steps) {
        if (one.what === 'reject') {
          model.rejected.add(one.version);
          await markRejected(pool, names[one.version]!, { reason: 'It is empty.', now: new Date() });
        } else if (one.what === 'train') {
          add(one.version, 'train');
          await transaction(pool, async (client) => {
            await lockRegistry(client);
            return promote(client, names[one.version]!, {
              action: 'train',
              now: new Date(),
              promotedBy: 'train',
              reason: '',
            });
          });
        } else if (one.what === 'promote') {
          const isRejected = model.rejected.has(one.version);
          const code = await codeOf(promoteVersion(names[one.version]!, options));
          expect(code).toBe(isRejected ? 'version_rejected' : 'none');
          if (!isRejected) add(one.version, 'hand');
        } else {
          const target = one.what === 'rollback' ? model.versionToRollBackTo() : model.served();
          const code = await codeOf(one.what === 'rollback' ? rollBack(options) : resume(options));
          const missing = one.what === 'rollback' ? 'nothing_to_roll_back' : 'unknown_version';
          expect(code).toBe(target === undefined ? missing : 'none');
          if (target !== undefined) add(target, one.what);
        }
      }
      const expected = model.entries.map(({ version, action }) => ({ version: names[version]!, action }));
      expect(await history()).toEqual(expected);
      expect((await holdOnSchedules(pool)) !== undefined).toBe(model.holdsSchedules());
    }),
    { numRuns: 30 },
  );
});
