/** What the service says of itself: never ok while predictions are refused or stay behind, nor anything else once they are not. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { makeDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { post } from '../support/requests.ts';
import { workersOf } from '../support/workers.ts';
import { inForm, isShort } from './form.ts';
import { houses, type Load, runLoad, startLoad } from './load.ts';
import { plant } from './planted/planted.ts';
import { reportFault } from './report.ts';
import { type Health, prepareService, type Service } from './service.ts';
import { fillUp, mountSmallDisk } from './small-disk.ts';
import { expectNothingLost, storedWithin } from './verification.ts';

const STAGE_MS = inForm(700, 5_000);
const CONNECTIONS = 8;
const RENAME = 'alter table predictions rename to elsewhere';
const RENAME_BACK = 'alter table elsewhere rename to predictions';

describe('predictions cannot be stored', { concurrent: isShort }, () => {
  test.for(['development', 'production'])(
    'the table is renamed, then the spool is full (%s)',
    async (NODE_ENV, { onTestFinished }) => {
      const settings = { SPOOL_MAX_BYTES: '100000', NODE_ENV, EXPOSE_MODEL_VERSION: 'true' };
      const service = await prepareService({ settings, onTestFinished });
      const { url } = await service.start();
      await service.database.query(RENAME);
      const first = await runLoad({ url, connections: 1 }, 50);
      const behind = await stateWithin(service, 'behind');
      expect(behind).toMatchObject({ status: 'degraded', database: 'ok', model: 'ok' });
      expect(await statuses(service)).toEqual({ health: 200, readyz: 200, livez: 200 });

      const filling = startLoad({ url, connections: CONNECTIONS });
      const refusing = await stateWithin(service, 'refusing');
      await filling.stop();
      expect(kinds(filling)).toEqual(['503']);
      expect(refusing).toMatchObject({
        status: 'unavailable',
        prediction_log: 'refusing',
        database: 'ok',
        model: 'ok',
      });
      expect(await statuses(service)).toEqual({ health: 503, readyz: 503, livez: 200 });
      const notReady = await fetch(`${url}/readyz`);
      expect(notReady.headers.get('retry-after')).toMatch(/^\d+$/);
      expect(await notReady.json()).toMatchObject({ type: 'urn:ridgeline:error:prediction_not_stored' });
      if (NODE_ENV === 'development') {
        expect(behind.reasons).toEqual([expect.stringMatching(/wait to be moved.*predictions.* does not exist/)]);
        expect(behind.backlog.last_error).toMatch(/does not exist/);
        expect(refusing.reasons.join(' ')).toMatch(/refused.*SPOOL_MAX_BYTES.*does not exist/);
      } else {
        expect(Object.keys(refusing).sort()).toEqual([
          'database',
          'model',
          'model_version',
          'prediction_log',
          'status',
        ]);
      }

      await service.database.query(RENAME_BACK);
      const seconds = await recovery(service);
      await conclude(service, `the table is renamed, then the spool is full (${NODE_ENV})`, [first, filling], seconds);
      // Told once, not for every caller or every try.
      expect(service.logged('predictions cannot be stored; callers are told to retry')).toBe(1);
      expect(service.logged('predictions can be stored again')).toBe(1);
    },
  );

  test.for([
    [
      'the table is renamed',
      (service) => service.database.query(RENAME),
      (service) => service.database.query(RENAME_BACK),
    ],
    [
      'a column is renamed',
      (service) => service.database.query('alter table predictions rename crim to crime'),
      (service) => service.database.query('alter table predictions rename crime to crim'),
    ],
    [
      'a constraint refuses every row',
      (service) => service.database.query('alter table predictions add constraint none check (false) not valid'),
      (service) => service.database.query('alter table predictions drop constraint none'),
    ],
    [
      'the disk of Postgres is full',
      (service) =>
        service.database.query(`
          create function fill() returns trigger language plpgsql as
            $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;
          create trigger full_disk before insert on predictions for each row execute function fill()`),
      (service) => service.database.query('drop trigger full_disk on predictions'),
    ],
    ['Postgres is silent', (service) => service.proxy.set('black hole'), (service) => service.proxy.set('pass')],
    ['Postgres is away', (service) => service.proxy.set('refuse'), (service) => service.proxy.set('pass')],
  ] as [string, Change, Change][])('PREDICTION_LOG=sync: %s', async ([name, begin, end], { onTestFinished }) => {
    const service = await prepareService({ settings: { PREDICTION_LOG: 'sync' }, onTestFinished });
    const { url } = await service.start();
    const well = await runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
    expect(well.failures).toEqual([]);
    await begin(service);
    const load = startLoad({ url, connections: CONNECTIONS });
    const refusing = await stateWithin(service, 'refusing', 20_000);
    // Tries of Postgres go on all the time, and none of them is taken for its return.
    await delay(2_500);
    await load.stop();
    expect(kinds(load)).toEqual(['503']);
    expect(refusing.status).toBe('unavailable');
    expect(refusing.reasons[0]).toMatch(/^Predictions are refused/);
    expect(await statuses(service)).toMatchObject({ health: 503, readyz: 503 });
    await end(service);
    const seconds = await recovery(service);
    expect((await post(`${url}/predict`, houses[0])).status).toBe(200);
    await conclude(service, `sync: ${name}`, [well, load], seconds);
    expect(service.logged('predictions cannot be stored; callers are told to retry')).toBe(1);
    expect(service.logged('predictions can be stored again')).toBe(1);
  });
});

describe('the spool cannot be written', { concurrent: isShort }, () => {
  test('and Postgres falls silent: callers are answered as soon as the spool works, whatever hangs', async ({
    onTestFinished,
  }) => {
    const { switchFile, ...options } = await failingDisk();
    const service = await prepareService({ ...options, onTestFinished });
    const { url } = await service.start();
    const well = await runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
    await writeFile(switchFile, 'writeSync openSync');
    const direct = await runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
    await service.proxy.set('black hole');
    const hung = startLoad({ url, connections: CONNECTIONS });
    await rm(switchFile);
    // Postgres is silent still: only the spool can have taken it.
    await eventually(async () => (await post(`${url}/predict`, houses[0])).status === 200);
    const spooled = await runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
    await hung.stop();
    expect([well, direct, spooled].flatMap(({ failures }) => failures)).toEqual([]);
    expect(kinds(hung).filter((kind) => kind !== '503')).toEqual([]);
    await service.proxy.set('pass');
    await conclude(
      service,
      'disk full, Postgres silent, disk well again',
      [well, direct, hung, spooled],
      await recovery(service),
    );
  });

  test.for([
    ['its directory cannot be made', undefined],
    ['the disk is full', mountSmallDisk],
  ] as const)('at a start: %s: Postgres takes the predictions', async ([name, mount], { onTestFinished, skip }) => {
    if (name === 'the disk is full' && !mount) skip();
    const directories = await makeDirectories();
    const service = await prepareService({ directories, onTestFinished });
    if (mount) onTestFinished(await mount(directories));
    else await mkdir(directories.dataDir, { recursive: true });
    const obstacle = join(directories.dataDir, mount ? 'filler' : 'spool');
    if (mount) fillUp(obstacle);
    else await writeFile(obstacle, 'a file in the place of the directory');
    const { url } = await service.start();
    const direct = await runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
    expect(direct.failures).toEqual([]);
    expect(await statuses(service)).toEqual({ health: 200, readyz: 200, livez: 200 });
    expect(service.logged('the spool cannot be written; predictions go straight to Postgres')).toBe(1);
    await rm(obstacle);
    await eventually(async () => service.logged('the spool can be written again') === 1);
    const spooled = await runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
    expect(spooled.failures).toEqual([]);
    await conclude(service, `start with a spool that cannot be written: ${name}`, [direct, spooled]);
  });
});

describe('PREDICTION_LOG is changed while answered predictions wait', { concurrent: isShort }, () => {
  test.for(['sync', 'off'])('from spool to %s', async (mode, { onTestFinished }) => {
    const service = await prepareService({ onTestFinished });
    const { url } = await service.start();
    await service.proxy.set('refuse');
    const load = await runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
    await service.kill();

    await service.start({ PREDICTION_LOG: mode });
    const waiting = await eventually(async () => {
      const health = await service.health();
      return health.backlog.rows === load.answers.length && health.backlog.last_error !== null && health;
    });
    expect(waiting).toMatchObject({ status: 'degraded', database: 'unavailable' });
    if (mode === 'off') expect(waiting.prediction_log).toBe('off');
    await service.proxy.set('pass');
    const stored = await storedWithin(service.database, load.answers, 30_000);
    reportFault({
      fault: `PREDICTION_LOG changed from spool to ${mode}`,
      load: `${load.answers.length} predictions in the spool`,
      stored,
      recoverySeconds: stored.seconds,
    });
    expectNothingLost(stored);
    await stateWithin(service, mode === 'off' ? 'off' : 'ok');
    expect((await service.health()).backlog.rows).toBe(0);
    expect((await post(`${service.server.url}/predict`, houses[0])).status).toBe(200);
    const [{ rows } = { rows: 0 }] = await service.database.query<{ rows: number }>(
      'select count(*)::int as rows from predictions',
    );
    expect(rows).toBe(load.answers.length + (mode === 'off' ? 0 : 1));
  });
});

test('DATABASE_URL is changed while answered predictions wait: they go to the database of the next start', async () => {
  const service = await prepareService();
  const { url } = await service.start();
  await service.proxy.set('refuse');
  const load = await runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
  await service.kill();
  const other = await createTestDatabase();
  await service.start({ DATABASE_URL: other.url });
  const stored = await storedWithin(other, load.answers, 30_000);
  reportFault({
    fault: 'DATABASE_URL changed',
    load: `${load.answers.length} predictions in the spool`,
    stored,
    recoverySeconds: stored.seconds,
  });
  expectNothingLost(stored);
  await stateWithin(service, 'ok');
  expect(service.logged(/^an earlier process has left its spool/)).toBeGreaterThan(0);
  await service.kill();
  await other.drop();
});

describe('WORKERS above 1', () => {
  test('all of them can begin their spools in the same moment', { timeout: 180_000 }, async () => {
    for (let start = 0; start < inForm(8, 60); start++) {
      const service = await prepareService({ settings: { WORKERS: '2' } });
      const { url } = await service.start();
      await service.proxy.set('refuse');
      const load = await runLoad({ url, connections: CONNECTIONS }, 150);
      await service.kill();
      expect(load.failures).toEqual([]);
    }
  });

  test('health speaks for all of them, and says which is silent', async () => {
    const service = await prepareService({ settings: { WORKERS: '2' } });
    const { url } = await service.start();
    await service.proxy.set('refuse');
    // More connections than workers, so that each has some.
    const load = await runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
    expect(load.failures).toEqual([]);
    for (let i = 0; i < 6; i++) {
      expect((await service.health()).backlog.rows).toBe(load.answers.length);
    }
    await service.proxy.set('pass');
    await conclude(service, 'health of two workers, Postgres away', [load]);
    await recovery(service);

    const [frozen] = workersOf(service.server.process);
    process.kill(frozen!, 'SIGSTOP');
    try {
      const silent = await eventually(async () => {
        const response = await fetch(`${service.server.url}/health`, { signal: AbortSignal.timeout(4_000) });
        const health = (await response.json()) as Health;
        return health.status !== 'ok' && health;
      }, 30_000);
      expect(silent.status).toBe('degraded');
      expect(silent.reasons).toEqual([expect.stringContaining(`process id ${frozen} does not answer`)]);
    } finally {
      process.kill(frozen!, 'SIGCONT');
    }
    await recovery(service);
  });
});

type Change = (service: Service) => Promise<unknown>;

async function stateWithin(service: Service, state: Health['prediction_log'], limitMs = 15_000): Promise<Health> {
  return await eventually(async () => {
    const health = await service.health();
    return health.prediction_log === state && health;
  }, limitMs);
}

async function statuses(service: Service): Promise<Record<string, number>> {
  const [health, readyz, livez] = await Promise.all(['/health', '/readyz', '/livez'].map(service.statusOf));
  return { health: health!, readyz: readyz!, livez: livez! };
}

/** Without a single prediction asked for. */
async function recovery(service: Service): Promise<number> {
  const startedAt = Date.now();
  await eventually(async () => (await service.statusOf('/readyz')) === 200, 30_000);
  const health = await eventually(async () => {
    const current = await service.health();
    return current.status === 'ok' && current;
  }, 30_000);
  expect(health.prediction_log).toBe('ok');
  expect(health.reasons ?? []).toEqual([]);
  return (Date.now() - startedAt) / 1000;
}

/** Every 200 must be a row. */
async function conclude(service: Service, fault: string, stages: Load[], recoverySeconds?: number): Promise<void> {
  const answers = stages.flatMap((stage) => stage.answers);
  const failures = stages.flatMap((stage) => stage.failures);
  const stored = await storedWithin(service.database, answers, 30_000);
  const refused = failures.filter(({ kind }) => kind === '503').length;
  reportFault({
    fault,
    load: `${CONNECTIONS} connections, closed loop`,
    requests: stages.reduce((sum, stage) => sum + stage.requests(), 0),
    failures: failures.length - refused,
    stored,
    ...(recoverySeconds !== undefined && { recoverySeconds }),
    note: `${refused} refused with 503 while they could not be stored`,
  });
  expectNothingLost(stored);
}

function kinds({ failures }: Load): string[] {
  return [...new Set(failures.map(({ kind }) => kind))];
}

async function failingDisk() {
  const directories = await makeDirectories();
  await mkdir(directories.dataDir, { recursive: true });
  const switchFile = join(directories.dataDir, 'failing');
  return { directories, switchFile, settings: { ...plant('failing-disk'), FAILING_DISK: switchFile } };
}
