/** Postgres is there and takes nothing, something else, or little: what operators do to it, and what becomes of a spool meanwhile. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { inForm, isShort } from './form.ts';
import { type Answer, houses, type Load, runLoad, startLoad } from './load.ts';
import { reportFault } from './report.ts';
import { prepareService, type Service } from './service.ts';
import { type Comparison, compareWithStored, expectNothingLost, storedWithin } from './verification.ts';

const RATE = inForm(100, 1000);
const LOAD_MS = inForm(1_500, 20_000);
const RECOVERY_SECONDS = 30;
/** So that an insert of 10,000 rows takes longer than it may, which is 30 s. */
const ROW_SECONDS = inForm(0.003, 0.0035);

describe('Postgres is there, and', { concurrent: isShort }, () => {
  test('the types of its columns change under load', async ({ onTestFinished }) => {
    const service = await prepareService({ onTestFinished });
    const { url } = await service.start();
    const load = startLoad({ url, rate: RATE });
    await delay(LOAD_MS);
    await service.database.query('alter table predictions alter rad type double precision, alter tax type bigint');
    await delay(LOAD_MS);
    await service.database.query('alter table predictions alter rad type bigint, alter tax type double precision');
    await delay(LOAD_MS);
    await load.stop();
    const stored = await conclude(service, 'types of columns altered, and altered back', `${RATE} requests/s`, [load]);
    expectNothingLost(stored);
    expect(await wrongFeatures(service, load.answers)).toEqual([]);
  });

  test('a column is renamed, and renamed back', async ({ onTestFinished }) => {
    const service = await prepareService({ onTestFinished });
    const { url } = await service.start();
    const load = startLoad({ url, rate: RATE });
    await delay(LOAD_MS);
    await service.database.query('alter table predictions rename crim to crime');
    // A busy machine may be behind for another reason before.
    const behind = await eventually(async () => {
      const health = await service.health();
      return health.prediction_log === 'behind' && health.backlog.last_error?.includes('crim') ? health : undefined;
    }, 30_000);
    expect(behind).toMatchObject({ status: 'degraded', database: 'ok' });
    expect(behind.backlog.last_error).toContain('crim');
    expect(behind.backlog.rows).toBeGreaterThan(0);
    await service.database.query('alter table predictions rename crime to crim');
    const mendedAt = Date.now();
    await load.stop();
    const stored = await conclude(service, 'column renamed, and renamed back', `${RATE} requests/s`, [load], mendedAt);
    expectNothingLost(stored);
    expect((await service.health()).backlog).toMatchObject({ dead_letters: 0, last_error: null });
  });

  test('it takes a few hundred rows a second', { timeout: 150_000 }, async ({ onTestFinished }) => {
    const service = await prepareService({ onTestFinished });
    const { url } = await service.start();
    await service.database.query(
      `create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(${ROW_SECONDS}); return new; end'`,
    );
    await service.database.query(
      'create trigger slow before insert on predictions for each row execute function slow()',
    );
    await service.proxy.set('refuse');
    const loads: Load[] = [];
    for (let rows = 0; rows < 10_200; rows += loads.at(-1)!.answers.length) {
      loads.push(await runLoad({ url, connections: 1, batchRows: 500 }, 20));
    }
    await service.proxy.set('pass');
    const backAt = Date.now();
    const told = eventually(
      async () => /with \d+ rows; next/.test((await service.health()).backlog.last_error ?? ''),
      60_000,
    );
    const stored = await conclude(
      service,
      `slow: ${ROW_SECONDS * 1000} ms a row and more`,
      'a backlog of 10,200 rows',
      loads,
      backAt,
      120_000,
    );
    await told;
    expectNothingLost(stored);
  });

  test('its role may not create temporary tables, and commits are cut', async ({ onTestFinished }) => {
    const service = await prepareService({ onTestFinished });
    const url = new URL(service.proxy.through(service.database.url));
    const name = url.pathname.slice(1);
    await service.database.query(`create role ${name} login password 'writer'`);
    await service.database.query(`revoke temporary on database ${name} from public`);
    for (const what of ['schema public', 'all tables in schema public', 'all sequences in schema public'])
      await service.database.query(`grant all on ${what} to ${name}`);
    onTestFinished(async () => {
      await service.database.query(`drop owned by ${name}`);
      await service.database.query(`drop role ${name}`);
    });
    Object.assign(url, { username: name, password: 'writer' });
    // What is published as the superuser of the test is served by the role.
    await service.start();
    await service.start({ DATABASE_URL: url.href });
    await service.proxy.set('cut at commit');
    const load = await runLoad({ url: service.server.url, connections: 4 }, LOAD_MS);
    await service.proxy.set('pass');
    const stored = await conclude(
      service,
      'no right to temporary tables, commits cut',
      '4 connections',
      [load],
      Date.now(),
    );
    expectNothingLost(stored);
  });

  test('another unique index refuses some of what was answered', async ({ onTestFinished }) => {
    const service = await prepareService({ onTestFinished });
    const { url } = await service.start();
    await service.database.query('create unique index another on predictions (created_at, zn, chas, rad)');
    // A batch has rows that are alike in these columns.
    const refused = await runLoad({ url, connections: 1, batchRows: 20 }, 300);
    const taken = await runLoad({ url, connections: 1 }, 300);
    await eventually(async () => (await service.health()).backlog.rows === 0, 60_000);
    const lines = (await readFile(join(service.directories.dataDir, 'spool/dead-letter.jsonl'), 'utf8'))
      .trim()
      .split('\n');
    const letters = lines.map((line) => JSON.parse(line) as { reason: string; record: { id: string } });
    const aside = new Set(letters.map(({ record }) => record.id));
    expect(letters.length).toBe(aside.size);
    for (const { reason } of letters) expect(reason).toContain('unique');
    const stored = await compareWithStored(
      service.database,
      [...refused.answers, ...taken.answers].filter(({ id }) => !aside.has(id)),
    );
    expectNothingLost(stored);
    const { backlog, status } = await service.health();
    expect({ status, dead: backlog.dead_letters }).toEqual({ status: 'ok', dead: aside.size });
    report(
      'another unique index',
      'batches of 20',
      [refused, taken],
      stored,
      undefined,
      `${aside.size} set aside with their reason`,
    );
  });
});

test('a segment that is gone holds up none behind it', async () => {
  const service = await prepareService({ settings: { SPOOL_MAX_BYTES: '8000000' } });
  const { url } = await service.start();
  await service.proxy.set('refuse');
  const spool = join(service.directories.dataDir, 'spool');
  const segmentFiles = async () =>
    (await readdir(spool, { recursive: true })).filter((file) => file.endsWith('.segment')).sort();
  const loads: Load[] = [];
  do loads.push(await runLoad({ url, connections: 1, batchRows: 500 }, 50));
  while ((await segmentFiles()).length < 3);
  const files = await segmentFiles();
  await rm(join(spool, files[0]!));
  const losses = () =>
    service.server.logs().filter(({ msg }) => msg === 'a file of the spool has lost predictions that were answered');
  // What was read before, and has yet to be stored, is not lost: so Postgres stays away until the file is missed.
  await eventually(async () => losses().length > 0, 30_000);
  await service.proxy.set('pass');
  const backAt = Date.now();
  await eventually(async () => (await service.health()).backlog.rows === 0, 30_000);
  const lost = losses();
  const stored = await compareWithStored(
    service.database,
    loads.flatMap(({ answers }) => answers),
  );
  report(
    'first segment removed while Postgres was away',
    'batches of 500',
    loads,
    stored,
    backAt,
    `${lost[0]?.rows} rows lost, and told`,
  );
  expect(lost).toHaveLength(1);
  expect(stored).toMatchObject({ missing: lost[0]!.rows, duplicates: 0, different: 0 });
  await eventually(async () => (await service.health()).status === 'ok', 15_000);
});

/** Waits until everything is stored, and reports it. */
async function conclude(
  service: Service,
  fault: string,
  load: string,
  loads: readonly Load[],
  endedAt?: number,
  withinMs = RECOVERY_SECONDS * 1000,
): Promise<Comparison> {
  const answers = loads.flatMap((one) => one.answers);
  const stored = await storedWithin(service.database, answers, withinMs);
  report(fault, load, loads, stored, endedAt);
  expect(loads.flatMap(({ failures }) => failures).slice(0, 3)).toEqual([]);
  await eventually(async () => (await service.health()).status === 'ok', 15_000);
  return stored;
}

function report(
  fault: string,
  load: string,
  loads: readonly Load[],
  stored: Comparison,
  endedAt?: number,
  note?: string,
): void {
  reportFault({
    fault: `Postgres refuses: ${fault}`,
    load,
    requests: loads.reduce((sum, one) => sum + one.requests(), 0),
    failures: loads.reduce((sum, one) => sum + one.failures.length, 0),
    stored,
    ...(endedAt && { recoverySeconds: (Date.now() - endedAt) / 1000 }),
    ...(note && { note }),
  });
}

/** Of rows whose stored features are not what was sent. */
async function wrongFeatures({ database }: Service, answers: readonly Answer[]): Promise<string[]> {
  const names = Object.keys(houses[0]!);
  const rows = await database.query<{ id: string; values: number[] }>(
    `select id, array[${names.map((name) => `${name}::float8`).join()}] as values from predictions`,
  );
  const stored = new Map(rows.map(({ id, values }) => [id, values]));
  return answers
    .filter(({ id, row }) => names.some((name, i) => stored.get(id)?.[i] !== houses[row]![name]))
    .map(({ id }) => id);
}
