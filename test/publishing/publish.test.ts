import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { type Published, type PublishOptions, publish } from '../../src/publishing/publish.ts';
import type { NewPipeline } from '../../src/registry/pipeline-versions.ts';
import { PROMOTION_CHANNEL, promote } from '../../src/registry/promotions.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { loadWines, wines } from '../support/declaration.ts';
import { eventually } from '../support/eventually.ts';

const VERSION = /^\d{4}_\d\d_\d\d__\d\d_\d\d_\d\d$/;

let database: TestDatabase;
let pool: Pool;
let pipeline: NewPipeline;
let modelsDir: string;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined, max: 5 });
  pipeline = trainPipeline(loadWines(), { contract: wines, alpha: 1, seed: 0 });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
beforeEach(async () => {
  modelsDir = join(await mkdtemp(join(tmpdir(), 'ridgeline-publish-')), 'models');
});
afterEach(async () => {
  await rm(join(modelsDir, '..'), { recursive: true });
  await database.query('truncate ml_pipeline cascade');
});

function publishNow(changed: Partial<PublishOptions> = {}, what = pipeline): Promise<Published> {
  return publish(what, {
    transaction: (work) => transaction(pool, work),
    modelsDir,
    now: new Date(),
    promotedBy: 'test',
    reason: 'because',
    shipped: wines,
    ...changed,
  });
}

function versions(): Promise<{ pipeline_version: string }[]> {
  return database.query('select pipeline_version from ml_pipeline order by pipeline_version');
}

async function listen(): Promise<{ client: Client; heard: string[]; next: () => Promise<string> }> {
  const client = new Client({ connectionString: database.url });
  const heard: string[] = [];
  let wake: (payload: string) => void = () => undefined;
  client.on('notification', ({ payload }) => {
    heard.push(payload!);
    wake(payload!);
  });
  await client.connect();
  await client.query(`listen "${PROMOTION_CHANNEL}"`);
  return { client, heard, next: () => new Promise((resolve) => (wake = resolve)) };
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('a publication', () => {
  test('writes the whole version as one row', async () => {
    const { pipelineVersion } = await publishNow();
    expect(pipelineVersion).toMatch(VERSION);
    const rows = await database.query('select * from ml_pipeline');
    expect(rows).toEqual([
      {
        pipeline_version: pipelineVersion,
        created_at: expect.any(Date),
        artefact: Buffer.from(pipeline.artefact),
        sha256: pipeline.sha256,
        hyperparameters: pipeline.hyperparameters,
        metrics: pipeline.metrics,
        data_sha256: pipeline.dataSha256,
        code_sha256: pipeline.codeSha256,
        golden_rows: pipeline.goldenRows,
        feature_profile: pipeline.featureProfile,
        declaration: wines.declaration,
        training_rows: { shipped: 120, labelled: 0, duplicates: 0 },
        data_file: null,
        prediction_profile: pipeline.predictionProfile,
        residuals: pipeline.residuals,
        explanation: pipeline.explanation,
        trained_through: null,
        rejected_at: null,
        rejected_reason: null,
      },
    ]);
    expect(sha256(rows[0]!.artefact as Buffer)).toBe(pipeline.sha256);
  });

  test('names the version after the second of its publication, in UTC', async () => {
    const { pipelineVersion } = await publishNow();
    const [row] = await database.query<{ seconds: number }>(
      `select abs(extract(epoch from created_at at time zone 'UTC'
         - to_timestamp($1, 'YYYY_MM_DD__HH24_MI_SS')::timestamp))::float as seconds from ml_pipeline`,
      [pipelineVersion],
    );
    expect(row!.seconds).toBeLessThan(60);
  });

  test('promotes the version and records who and why', async () => {
    const { pipelineVersion } = await publishNow({ now: new Date(), promotedBy: 'schedule', reason: 'new rows' });
    expect(await database.query('select pipeline_version, promoted_by, reason from ml_pipeline_promotion')).toEqual([
      { pipeline_version: pipelineVersion, promoted_by: 'schedule', reason: 'new rows' },
    ]);
  });

  test('leaves the artefact and its manifest in a models directory that it makes', async () => {
    const { pipelineVersion, file } = await publishNow();
    const path = join(modelsDir, `pipeline_${pipelineVersion}.onnx`);
    expect(file).toEqual({ path });
    expect(sha256(await readFile(path))).toBe(pipeline.sha256);
    expect(JSON.parse(await readFile(join(modelsDir, `pipeline_${pipelineVersion}.json`), 'utf8'))).toEqual({
      pipeline_version: pipelineVersion,
      sha256: pipeline.sha256,
      golden_rows: pipeline.goldenRows,
      declaration: wines.declaration,
      residuals: pipeline.residuals,
      explanation: pipeline.explanation,
    });
    expect(await readdir(modelsDir)).toHaveLength(2);
  });

  test('adds the columns of its features, with it and not before', async () => {
    await database.query('alter table predictions drop column if exists acidity');
    const columns = () =>
      database.query(
        `select attname from pg_attribute where attrelid = 'predictions'::regclass and attname = 'acidity'`,
      );
    await expect(
      publishNow({
        transaction: (work) =>
          transaction(pool, async (client) => {
            await work(client);
            throw new Error('the connection is lost');
          }),
      }),
    ).rejects.toThrow('the connection is lost');
    expect([await columns(), await versions()]).toEqual([[], []]);
    await publishNow();
    expect(await columns()).toHaveLength(1);
  });

  test('that has to wait for a lock on the table lets those pass who store predictions, and tries again', async () => {
    await database.query('alter table predictions drop column if exists acidity');
    const reader = new Client({ connectionString: database.url });
    await reader.connect();
    await reader.query('begin; select count(*) from predictions');
    let tries = 0;
    const published = publishNow({
      transaction: (work) => {
        tries++;
        return transaction(pool, work);
      },
    });
    await eventually(async () => tries === 2);
    expect(await versions()).toEqual([]);
    await reader.query('rollback');
    await reader.end();
    await published;
    expect(await versions()).toHaveLength(1);
  });

  test('is announced to listeners, with the version, once it is committed and not before', async () => {
    const { client, heard, next } = await listen();
    const announced = next();
    const { pipelineVersion } = await publishNow({
      transaction: (work) =>
        transaction(pool, async (inside) => {
          const result = await work(inside);
          // Notices arrive ahead of an answer: none has been sent by now, and nobody else sees the row.
          await client.query('select 1');
          expect(heard).toEqual([]);
          expect(await versions()).toEqual([]);
          return result;
        }),
    });
    expect(await announced).toBe(pipelineVersion);
    expect(await versions()).toEqual([{ pipeline_version: pipelineVersion }]);
    await client.end();
  });
});

describe('a change of the contract', () => {
  const [acidity, ...others] = wines.declaration.features;
  const declaring = (...features: object[]): NewPipeline => ({
    ...pipeline,
    declaration: { ...wines.declaration, features } as NewPipeline['declaration'],
  });
  const withoutAcidity = () => declaring(...others);
  const withPrice = () =>
    declaring(acidity!, ...others, { ...acidity, name: 'price', column: 'price', optional: true });
  const refused = {
    code: 'breaking_change',
    message: expect.stringContaining('acidity is gone: requests with it'),
  };

  test('that breaks requests of today is refused, and nothing of it is there', async () => {
    await publishNow();
    const before = [await versions(), await readdir(modelsDir)];
    await expect(publishNow({}, withoutAcidity())).rejects.toMatchObject(refused);
    expect([await versions(), await readdir(modelsDir)]).toEqual(before);
    expect(await database.query('select * from ml_pipeline_promotion')).toHaveLength(1);
  });

  test('that breaks them is published where that is asked for', async () => {
    await publishNow();
    await publishNow({ breaking: true }, withoutAcidity());
    expect(await versions()).toHaveLength(2);
  });

  test('that only adds what may be left out needs no word', async () => {
    await publishNow();
    await publishNow({}, withPrice());
    expect(await versions()).toHaveLength(2);
  });

  test('from what a start has published by itself breaks nobody, also after a roll back to it', async () => {
    const { pipelineVersion } = await publishNow({ now: new Date(), promotedBy: 'start' });
    await publishNow({}, withoutAcidity());
    await transaction(pool, (client) =>
      promote(client, pipelineVersion, { now: new Date(), promotedBy: 'me', reason: 'roll back' }),
    );
    await publishNow({}, withoutAcidity());
    expect(await versions()).toHaveLength(3);
  });

  test('is held against the last version that was not rejected too, which servers may have stayed with', async () => {
    await publishNow();
    const { pipelineVersion } = await publishNow({ breaking: true }, withoutAcidity());
    await publishNow({}, withoutAcidity());
    await database.query('update ml_pipeline set rejected_at = now() where pipeline_version >= $1', [pipelineVersion]);
    await expect(publishNow({}, withoutAcidity())).rejects.toMatchObject(refused);
    await expect(publishNow()).rejects.toMatchObject({
      message: expect.stringContaining('acidity is new and not optional'),
    });
  });

  test('to a declaration that is larger than servers read is refused', async () => {
    const categories = Array.from({ length: 10_000 }, (_, i) => `${i} ${'x'.repeat(100)}`);
    const text = { ...acidity, dtype: 'string', kind: 'categorical', categories };
    await expect(publishNow({}, declaring(text, ...others))).rejects.toMatchObject({
      code: 'bad_artefact',
      message: expect.stringMatching(/^The declaration has \d+ bytes; 1048576 are read at most\./),
    });
    expect(await versions()).toEqual([]);
  });

  test('from a declaration that is not known here may break anything', async () => {
    await publishNow();
    await database.query(`update ml_pipeline set declaration = declaration || '{"later": 1}'`);
    await expect(publishNow()).rejects.toMatchObject({
      code: 'breaking_change',
      message: expect.stringMatching(/is not known here: .*: later is not known to this version/),
    });
  });

  test('is judged by what is served when it comes to be, not by what was when it began', async () => {
    await publishNow();
    let second: Promise<Published> | undefined;
    await publishNow(
      {
        breaking: true,
        transaction: (work) =>
          transaction(pool, async (client) => {
            const result = await work(client);
            second = publishNow();
            second.catch(() => undefined);
            await eventually(() =>
              database
                .query('select from pg_locks where locktype = $1 and not granted', ['advisory'])
                .then(({ length }) => length > 0),
            );
            return result;
          }),
      },
      withoutAcidity(),
    );
    await expect(second).rejects.toMatchObject({ code: 'breaking_change' });
    expect(await versions()).toHaveLength(2);
  });
});

describe('publications at the same time', () => {
  test.each([2, 5])(
    '%i of them get distinct versions, each with its row, its promotion and its file',
    async (count) => {
      const published = await Promise.all(Array.from({ length: count }, () => publishNow()));
      const names = published.map(({ pipelineVersion }) => pipelineVersion).sort();
      expect(new Set(names).size).toBe(count);
      for (const name of names) expect(name).toMatch(VERSION);
      expect((await versions()).map((row) => row.pipeline_version)).toEqual(names);
      const promotions = await database.query<{ pipeline_version: string }>(
        'select pipeline_version from ml_pipeline_promotion order by promotion_id',
      );
      // The later a version is promoted, the later its name: the newest promotion is the newest version.
      expect(promotions.map((row) => row.pipeline_version)).toEqual(names);
      expect(await readdir(modelsDir)).toHaveLength(2 * count);
    },
  );

  test('a version that is ahead of the clock is followed, over the end of a year too', async () => {
    const { pipelineVersion } = await publishNow();
    await database.query('truncate ml_pipeline_promotion');
    await database.query('update ml_pipeline set pipeline_version = $1 where pipeline_version = $2', [
      '2098_12_31__23_59_59',
      pipelineVersion,
    ]);
    expect((await publishNow()).pipelineVersion).toBe('2099_01_01__00_00_00');
    expect((await publishNow()).pipelineVersion).toBe('2099_01_01__00_00_01');
  });
});

describe('a publication whose transaction fails', () => {
  async function expectNothing(heard: string[], client: Client): Promise<void> {
    expect(await versions()).toEqual([]);
    expect(await database.query('select * from ml_pipeline_promotion')).toEqual([]);
    await expect(readdir(modelsDir)).rejects.toThrow(/ENOENT/);
    await client.query('select 1');
    expect(heard).toEqual([]);
    await client.end();
  }

  test('at its end leaves no row, no promotion, no notice and no file', async () => {
    const { client, heard } = await listen();
    const failing = publishNow({
      transaction: (work) =>
        transaction(pool, async (inside) => {
          await work(inside);
          throw new Error('the commit is lost');
        }),
    });
    await expect(failing).rejects.toThrow('the commit is lost');
    await expectNothing(heard, client);
  });

  test('because the database refuses the row leaves nothing either', async () => {
    const { client, heard } = await listen();
    await expect(publishNow({}, { ...pipeline, sha256: 'not a hash' })).rejects.toThrow(/ml_pipeline_sha256_check/);
    await expectNothing(heard, client);
  });

  test('because the connection is cut leaves nothing either', async () => {
    const { client, heard } = await listen();
    const cut = publishNow({
      transaction: (work) =>
        transaction(pool, async (inside) => {
          const result = await work(inside);
          const { rows } = await inside.query('select pg_backend_pid() as pid');
          await database.query('select pg_terminate_backend($1)', [rows[0].pid]);
          return result;
        }),
    });
    await expect(cut).rejects.toThrow();
    await expectNothing(heard, client);
  });

  test('does not stand in the way of the next one', async () => {
    await expect(publishNow({}, { ...pipeline, sha256: '' })).rejects.toThrow();
    const { pipelineVersion } = await publishNow();
    expect(await versions()).toEqual([{ pipeline_version: pipelineVersion }]);
  });
});

test('where the models directory cannot be written the version is published all the same, and the error is told', async () => {
  await writeFile(join(modelsDir, '..', 'occupied'), 'a file');
  const { pipelineVersion, file } = await publishNow({ modelsDir: join(modelsDir, '..', 'occupied', 'models') });
  expect(file).toEqual({ error: expect.objectContaining({ code: 'ENOTDIR' }) });
  expect(await versions()).toEqual([{ pipeline_version: pipelineVersion }]);
  expect(await database.query('select pipeline_version from ml_pipeline_promotion')).toHaveLength(1);
});
