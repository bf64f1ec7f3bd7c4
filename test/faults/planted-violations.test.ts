/** The suite against services that break the guarantee: the check that ends every fault must see it. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { makeDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { sourceEntryPoint } from '../support/server.ts';
import { isShort } from './form.ts';
import { houses, runLoad, startLoad } from './load.ts';
import { type Planted, plant } from './planted/planted.ts';
import { losePower } from './power-loss.ts';
import { prepareService } from './service.ts';
import { expectNothingLost, expectWholeLines, storedWithin } from './verification.ts';

describe('a service that breaks the guarantee is found out', { concurrent: isShort }, () => {
  test.for<{ violation: string; planted: Planted; seen: 'missing' | 'duplicates' }>([
    { violation: 'a spool that skips its write', planted: 'skipped-write', seen: 'missing' },
    { violation: 'a relay that forgets a batch', planted: 'forgotten-batch', seen: 'missing' },
    { violation: 'a relay that stores a batch twice', planted: 'twice-stored', seen: 'duplicates' },
  ])('$violation', async ({ planted, seen }, { onTestFinished }) => {
    // From the sources, as some violations reach into libraries, which are part of what is built.
    const service = await prepareService({ settings: plant(planted), script: sourceEntryPoint, onTestFinished });
    const { url } = await service.start();
    const { answers, failures } = await runLoad({ url, connections: 8 }, 1_500);
    expect(failures).toEqual([]);
    const stored = await storedWithin(service.database, answers, 3_000);
    expect(stored[seen]).toBeGreaterThan(0);
    expect(() => expectNothingLost(stored)).toThrow();
  });

  test('a sync of another file', async ({ onTestFinished }) => {
    const directories = await makeDirectories();
    await mkdir(directories.dataDir, { recursive: true });
    const notes = join(directories.dataDir, 'synced-bytes');
    const settings = { PREDICTION_LOG_FSYNC: 'on', SYNCED_BYTES: notes, SPOOL_MAX_BYTES: '8000000' };
    const service = await prepareService({ settings, directories, script: sourceEntryPoint, onTestFinished });
    await service.start();
    await service.start(plant('synced-bytes', 'sync-elsewhere'));
    await service.proxy.set('refuse');
    const load = startLoad({ url: service.server.url, connections: 8, batchRows: 1_000 });
    await delay(2_000);
    await service.kill();
    await load.stop();
    await service.proxy.set('pass');
    await losePower(join(directories.dataDir, 'spool'), notes);
    await service.start({ PREDICTION_LOG_FSYNC: 'off' });
    const stored = await storedWithin(service.database, load.answers, 5_000);
    expect(stored.missing).toBeGreaterThan(0);
    expect(() => expectNothingLost(stored)).toThrow();
  });

  test('a dead letter that is cut short', async ({ onTestFinished }) => {
    const service = await prepareService({
      settings: plant('cut-dead-letter'),
      script: sourceEntryPoint,
      onTestFinished,
    });
    const { url } = await service.start();
    await service.database.query('alter table predictions add constraint no_poison check (crim < 1000000)');
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ ...houses[0]!, CRIM: 2_000_000 });
    expect((await fetch(`${url}/predict`, { method: 'POST', headers, body })).status).toBe(200);
    const file = join(service.directories.dataDir, 'spool', 'dead-letter.jsonl');
    const text = await eventually(() => readFile(file, 'utf8'));
    expect(() => expectWholeLines(text, 1)).toThrow();
  });

  test('an adoption that forgets a segment', async ({ onTestFinished }) => {
    const service = await prepareService({
      settings: plant('forgotten-segment'),
      script: sourceEntryPoint,
      onTestFinished,
    });
    const { url } = await service.start();
    await service.proxy.set('refuse');
    const { answers } = await runLoad({ url, connections: 8 }, 500);
    await service.kill();
    await service.proxy.set('pass');
    await service.start();
    const stored = await storedWithin(service.database, answers, 3_000);
    expect(stored.missing).toBeGreaterThan(0);
    expect(() => expectNothingLost(stored)).toThrow();
  });
});
