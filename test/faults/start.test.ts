/** What is survived at run time is survived at a start, at any moment of it, and at a worker's start too. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeDirectories } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { workersOf } from '../support/workers.ts';
import { inForm, isShort } from './form.ts';
import { type Answer, runLoad } from './load.ts';
import { reportFault } from './report.ts';
import { prepareService, type Service } from './service.ts';
import { compareWithStored, expectNothingLost, storedWithin } from './verification.ts';

const isLinux = process.platform === 'linux';

describe('the database goes away in the middle of a start', { concurrent: isShort }, () => {
  const moments = [0, 1, 2, 3, 4, 5, 6].flatMap((connections) =>
    inForm([1], [1, 2]).map((workers) => ({ connections, workers })),
  );
  test.for([...moments, { connections: 1, workers: 3 }])(
    'after $connections connections, with $workers workers: starts all the same, and is ready once it is back',
    async ({ connections, workers }, { onTestFinished }) => {
      const service = await prepareService({ onTestFinished, settings: { WORKERS: String(workers) } });
      service.proxy.admit(connections);
      await service.start();
      expect(await service.statusOf('/livez')).toBe(200);
      const readyAtOnce = (await service.statusOf('/readyz')) === 200;
      await service.proxy.set('refuse');
      await service.proxy.set('pass');
      await becomesGood(service, `database away after ${connections} connections of a start, ${workers} workers`, {
        note: readyAtOnce ? '/readyz 200 meanwhile' : '/readyz 503 meanwhile',
      });
    },
  );
});

describe('what cannot be written at a start', { concurrent: isShort }, () => {
  test('a database that is read only: prepared once it is not', async ({ onTestFinished }) => {
    const service = await prepareService({ onTestFinished });
    const [{ name }] = (await service.database.query('select current_database() as name')) as [{ name: string }];
    await service.database.query(`alter database ${name} set default_transaction_read_only = on`);
    await service.start();
    expect(await service.statusOf('/readyz')).toBe(503);
    await service.database.query(
      `begin read write; alter database ${name} reset default_transaction_read_only; commit`,
    );
    await becomesGood(service, 'database read only at a start', { note: '/readyz 503 meanwhile' });
  });

  // Mounting needs root.
  const disks = isLinux && process.getuid?.() === 0 ? ['full', 'read only'] : [];
  test.for(disks.flatMap((disk) => ['dataDir', 'modelsDir'].map((which) => ({ disk, which }) as const)))(
    'the disk of $which is $disk: started all the same, and workers that die are replaced',
    async ({ disk, which }, { onTestFinished }) => {
      const directories = await makeDirectories();
      const directory = directories[which as 'dataDir' | 'modelsDir'];
      const service = await prepareService({ directories, onTestFinished, settings: { WORKERS: '2' } });
      await mkdir(directory, { recursive: true });
      mount('-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory);
      onTestFinished(async () => void execFileSync('umount', ['-l', directory]));
      if (disk === 'full') fillDirectory(directory);
      else mount('-o', 'remount,ro', directory);
      const server = await service.start();
      await eventually(async () => (await service.statusOf('/readyz')) === 200, 20_000);
      const answers: Answer[] = [];
      let requests = 0;
      for (let i = 0; i < 2; i++) {
        const load = await runLoad({ url: server.url, connections: 4 }, inForm(300, 2_000));
        answers.push(...load.answers);
        requests += load.requests();
        expect(load.failures.slice(0, 3)).toEqual([]);
        const [oldest] = workersOf(server.process);
        process.kill(oldest!, 'SIGKILL');
        await eventually(async () => {
          const workers = workersOf(server.process);
          return workers.length === 2 && !workers.includes(oldest!);
        });
        await eventually(async () => (await service.health()).model === 'ok', 20_000);
      }
      expect(await server.stop('SIGTERM')).toBe(0);
      // It moves what those who were killed have left.
      await service.start();
      const stored = await storedWithin(service.database, answers, 20_000);
      reportFault({
        fault: `disk of ${which === 'dataDir' ? 'DATA_DIR' : 'MODELS_DIR'} ${disk} at a start, workers killed`,
        load: '4 connections',
        requests,
        failures: 0,
        stored,
      });
      expectNothingLost(stored);
    },
  );
});

function mount(...options: string[]): void {
  execFileSync('mount', options);
}

/** Blocks and inodes: then not even a directory can be made. */
function fillDirectory(directory: string): void {
  writeFileSync(join(directory, 'filler'), '');
  for (const bytes of [4_096, 1]) {
    try {
      while (true) appendFileSync(join(directory, 'filler'), Buffer.alloc(bytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
}

async function becomesGood(service: Service, fault: string, { note }: { note: string }): Promise<void> {
  const backAt = Date.now();
  await eventually(async () => (await service.statusOf('/readyz')) === 200, 20_000);
  // That was one of the workers; health speaks for all.
  await eventually(async () => (await service.health()).model === 'ok', 20_000);
  const recoverySeconds = (Date.now() - backAt) / 1000;
  const load = await runLoad({ url: service.server.url, connections: 4 }, inForm(300, 2_000));
  await storedWithin(service.database, load.answers, 30_000);
  const stored = await compareWithStored(service.database, load.answers);
  reportFault({
    fault,
    load: '4 connections afterwards',
    requests: load.requests(),
    failures: load.failures.length,
    stored,
    recoverySeconds,
    note,
  });
  expect(load.failures.slice(0, 3)).toEqual([]);
  expectNothingLost(stored);
}
