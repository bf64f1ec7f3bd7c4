/** A disk that is full or fails under the spool: never a 200 for what is not stored, and no restart to recover. */
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { makeDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { inForm, isShort } from './form.ts';
import { houses, type Load, runLoad, startLoad } from './load.ts';
import { plant } from './planted/planted.ts';
import { reportFault } from './report.ts';
import { prepareService, type Service } from './service.ts';
import { fillUp, mountSmallDisk } from './small-disk.ts';
import { expectNothingLost, expectWholeLines, storedWithin } from './verification.ts';

const STAGE_MS = inForm(700, 5_000);
const CONNECTIONS = 8;

describe('the spool cannot be written', { concurrent: isShort }, () => {
  test.skipIf(!mountSmallDisk)('full disk: a file system of 1 MiB', async ({ onTestFinished }) => {
    const directories = await makeDirectories();
    const filler = join(directories.dataDir, 'filler');
    const service = await prepareService({ directories, onTestFinished });
    // Hooks run in reverse: unmounted before the directory is removed, when the process has been ended.
    const unmount = await mountSmallDisk!(directories);
    onTestFinished(unmount);
    await endure(service, {
      name: 'full disk (tmpfs of 1 MiB)',
      begin: () => fillUp(filler),
      end: () => rm(filler),
    });
  });

  test.for([
    ['writes fail (EIO)', 'writeSync', {}],
    ['the directory is not writable (EACCES)', 'writeSync openSync', {}],
    ['fsync fails', 'fdatasync', { PREDICTION_LOG_FSYNC: 'on' }],
  ] as const)('failing disk: %s', async ([name, calls, settings], { onTestFinished }) => {
    const directories = await makeDirectories();
    await mkdir(directories.dataDir, { recursive: true });
    const switchFile = join(directories.dataDir, 'failing');
    const service = await prepareService({
      directories,
      onTestFinished,
      settings: { ...settings, ...plant('failing-disk'), FAILING_DISK: switchFile },
    });
    await endure(service, {
      name: `failing disk: ${name}`,
      begin: () => writeFile(switchFile, calls),
      end: () => rm(switchFile),
    });
  });

  test('what was relayed cannot be removed: predictions go on, and the files go when they can', async ({
    onTestFinished,
  }) => {
    const directories = await makeDirectories();
    await mkdir(directories.dataDir, { recursive: true });
    const switchFile = join(directories.dataDir, 'failing');
    const service = await prepareService({
      settings: { ...plant('failing-disk'), FAILING_DISK: switchFile },
      directories,
      onTestFinished,
    });
    const { url } = await service.start();
    const before = await runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
    // A failed write seals the segment, so that it is due to be removed.
    await writeFile(switchFile, 'writeSync unlinkSync');
    const sealing = await runLoad({ url, connections: 1 }, 200);
    await writeFile(switchFile, 'unlinkSync');
    const during = await runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
    await rm(switchFile);
    const stages = [before, sealing, during, await runLoad({ url, connections: CONNECTIONS }, STAGE_MS)];
    await conclude(service, 'failing disk: relayed files cannot be removed', stages);
    expect(stages.flatMap(({ failures }) => failures).slice(0, 3)).toEqual([]);
  });
});

describe('the dead letters cannot be written', () => {
  test.skipIf(!mountSmallDisk)(
    'each is a whole line once there is room, and not counted before',
    async ({ onTestFinished }) => {
      const directories = await makeDirectories();
      const service = await prepareService({ directories, onTestFinished });
      onTestFinished(await mountSmallDisk!(directories));
      const { url } = await service.start();
      await service.database.query('alter table predictions add constraint no_poison check (crim < 1000000)');
      const deadLetters = join(directories.dataDir, 'spool', 'dead-letter.jsonl');
      const before = await runLoad({ url, connections: 2 }, 200);
      // To the last bytes of a page, so that a line begins on it and has no room for its end.
      await writeFile(deadLetters, `${JSON.stringify({ at: new Date(), reason: 'x'.repeat(3_950), record: {} })}\n`);
      await service.proxy.set('refuse');
      const poisoned = 3;
      for (let i = 0; i < poisoned; i++) {
        const body = JSON.stringify({ ...houses[i]!, CRIM: 2_000_000 });
        const headers = { 'content-type': 'application/json' };
        expect((await fetch(`${url}/predict`, { method: 'POST', headers, body })).status).toBe(200);
      }
      const filler = join(directories.dataDir, 'filler');
      fillUp(filler);
      const { size } = await stat(deadLetters);
      await service.proxy.set('pass');
      await delay(2_000);
      expect((await stat(deadLetters)).size).toBe(size);
      expect(await deadLettersOf(service)).toBe(0);
      await rm(filler);
      await eventually(async () => (await deadLettersOf(service)) === poisoned, 30_000);
      const stored = await storedWithin(service.database, before.answers, 30_000);
      reportFault({
        fault: 'no room for the dead letters (tmpfs of 1 MiB)',
        load: `${poisoned} records that Postgres refuses`,
        stored,
        note: `${await deadLettersOf(service)} of ${poisoned} set aside, each a whole line`,
      });
      expectWholeLines(await readFile(deadLetters, 'utf8'), poisoned + 1);
      expectNothingLost(stored);
    },
  );
});

describe('SPOOL_MAX_BYTES is reached', { concurrent: isShort }, () => {
  test('refuses while Postgres is away, answers when it is back, and has room again afterwards', async ({
    onTestFinished,
  }) => {
    const service = await prepareService({ settings: { SPOOL_MAX_BYTES: '100000' }, onTestFinished });
    const { url } = await service.start();
    const stages: Load[] = [];
    for (let round = 0; round < 2; round++) {
      // A spool that was full is left alone for two seconds, under the load of the last round too.
      await delay(2_500);
      await service.proxy.set('refuse');
      const away = startLoad({ url, connections: CONNECTIONS });
      await eventually(async () => away.failures.length > 0, 30_000);
      await delay(STAGE_MS);
      await away.stop();
      stages.push(away);
      expect(away.answers.length, `rows taken while Postgres was away, outage ${round + 1}`).toBeGreaterThan(0);
      expect(kinds(away)).toEqual(['503']);
      await service.proxy.set('pass');
      await eventually(async () => (await post(url)).status === 200, 30_000);
      await eventually(async () => (await service.health()).backlog.rows === 0, 30_000);
      stages.push(await runLoad({ url, connections: CONNECTIONS }, STAGE_MS));
      expect(stages.at(-1)!.failures).toEqual([]);
    }
    await conclude(service, 'SPOOL_MAX_BYTES reached in two outages (503 is right then)', stages);
  });
});

interface DiskFault {
  name: string;
  begin: () => Promise<unknown> | undefined;
  end: () => Promise<unknown>;
}

/** Well; the fault; the fault while Postgres is away too; Postgres back; the disk well again: with load in each stage. */
async function endure(service: Service, { name, begin, end }: DiskFault): Promise<void> {
  const { url } = await service.start();
  const stage = () => runLoad({ url, connections: CONNECTIONS }, STAGE_MS);
  const well = await stage();
  await begin();
  const direct = await stage();
  // Sealed segments are relayed and removed, which gave a full disk room again.
  await begin();
  await service.proxy.set('refuse');
  const refused = await stage();
  const { status, retryAfter } = await post(url);
  expect({ status, retryAfter: Number(retryAfter) > 0 }).toEqual({ status: 503, retryAfter: true });
  await service.proxy.set('pass');
  const returnedAt = Date.now();
  await eventually(async () => (await post(url)).status === 200, 30_000);
  const recoverySeconds = (Date.now() - returnedAt) / 1000;
  const directAgain = await stage();
  await end();
  const wellAgain = await stage();
  const begunCount = () => service.logged('the spool cannot be written; predictions go straight to Postgres');
  const endedCount = () => service.logged('the spool can be written again');
  // A small disk may have filled up under the last load too: once that is relayed, it is well again.
  await eventually(async () => (await post(url)).status === 200 && begunCount() === endedCount(), 30_000);
  const begun = begunCount();
  await conclude(service, name, [well, direct, refused, directAgain, wellAgain], recoverySeconds);
  for (const { failures } of [well, direct, directAgain, wellAgain]) expect(failures.slice(0, 3)).toEqual([]);
  expect(kinds(refused)).toEqual(['503']);
  // Not for every row: a disk may have room for a moment, when a relayed segment is removed.
  expect(begun).toBeGreaterThan(0);
  expect(begun).toBeLessThan(10);
}

/** Every 200 must be a row, also of those answered by a process that was killed right afterwards. */
async function conclude(service: Service, fault: string, stages: Load[], recoverySeconds?: number): Promise<void> {
  await service.kill();
  await service.start();
  const answers = stages.flatMap((stage) => stage.answers);
  const stored = await storedWithin(service.database, answers, 30_000);
  const failures = stages.flatMap((stage) => stage.failures);
  const refusals = failures.filter(({ kind }) => kind === '503').length;
  reportFault({
    fault,
    load: `${CONNECTIONS} connections, closed loop`,
    requests: stages.reduce((sum, stage) => sum + stage.requests(), 0),
    failures: failures.length - refusals,
    stored,
    ...(recoverySeconds !== undefined && { recoverySeconds }),
    note: `${refusals} refused with 503 while Postgres was away too`,
  });
  expectNothingLost(stored);
}

async function deadLettersOf(service: Service): Promise<number> {
  return (await service.health()).backlog.dead_letters;
}

function kinds({ failures }: Load): string[] {
  return [...new Set(failures.map(({ kind }) => kind))];
}

async function post(url: string): Promise<{ status: number; retryAfter: string | null }> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/predict`, { method: 'POST', headers, body: JSON.stringify(houses[0]) });
  await response.text();
  return { status: response.status, retryAfter: response.headers.get('retry-after') };
}
