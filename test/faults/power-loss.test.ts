/** With PREDICTION_LOG_FSYNC=on an answer waits for a sync of its own bytes, and of no other file's. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { makeDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { inForm } from './form.ts';
import { startLoad } from './load.ts';
import { plant } from './planted/planted.ts';
import { losePower } from './power-loss.ts';
import { reportFault } from './report.ts';
import { prepareService } from './service.ts';
import { expectNothingLost, storedWithin } from './verification.ts';

describe('PREDICTION_LOG_FSYNC=on', () => {
  test('loses nothing that was answered when the power goes, whatever was under way', async () => {
    const directories = await makeDirectories();
    await mkdir(directories.dataDir, { recursive: true });
    const notes = join(directories.dataDir, 'synced-bytes');
    const service = await prepareService({ directories });
    await service.start();
    await service.start({ PREDICTION_LOG_FSYNC: 'on', SYNCED_BYTES: notes, ...plant('synced-bytes') });
    await service.proxy.set('refuse');
    const load = startLoad({ url: service.server.url, connections: 48, batchRows: 1_000 });
    await delay(inForm(2_000, 7_000));
    await eventually(async () => load.answers.length > 1_000, 30_000);
    await service.kill();
    await load.stop();
    await service.proxy.set('pass');
    const { segments, lostBytes, violations } = await losePower(join(directories.dataDir, 'spool'), notes);
    await service.start();
    const stored = await storedWithin(service.database, load.answers, 60_000);
    const refused = load.failures.filter(({ kind }) => kind === '503').length;
    reportFault({
      fault: 'power loss with PREDICTION_LOG_FSYNC=on',
      load: '48 callers of batches of 1,000 rows',
      requests: load.requests(),
      failures: load.failures.filter(({ answered, kind }) => answered && kind !== '503').length,
      stored,
      recoverySeconds: stored.seconds,
      note: `${segments} segments cut by ${lostBytes} bytes that no sync had covered; ${refused} batches refused with 503: too many rows wait`,
    });
    expect(violations).toEqual([]);
    expect(load.answers.length).toBeGreaterThan(1_000);
    expectNothingLost(stored);
  });
});
