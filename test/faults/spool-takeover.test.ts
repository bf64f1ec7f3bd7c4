/** What earlier processes have left in DATA_DIR/spool is taken over: all of it, however much, whatever lies beside it. */

import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { ServerProcess } from '../support/server.ts';
import { inForm } from './form.ts';
import { leaveSpool } from './left-spool.ts';
import { type Load, runLoad, startLoad } from './load.ts';
import { reportFault } from './report.ts';
import { prepareService, type Service } from './service.ts';
import { expectNothingLost, storedWithin } from './verification.ts';

const MEBIBYTE = 1024 * 1024;
const LEFT_BEHIND = '7f0c1ab2-90c4-4e35-9a0b-2c1d3e4f5a6b';

const spoolRoot = (service: Service) => join(service.directories.dataDir, 'spool');

describe('a large spool', () => {
  test('of one-row frames is taken over in bounded memory while requests are answered', async () => {
    const service = await prepareService();
    // A start prepares the database and the pipeline; what it takes in memory is the same for any spool.
    const { url } = await service.start();
    await runLoad({ url, connections: 4 }, 500);
    const usual = memoryPeakMiB(service.server);
    await service.kill();
    await rm(spoolRoot(service), { recursive: true });
    await service.database.query('truncate predictions');
    const bytes = inForm(64, 1024) * MEBIBYTE;
    const rows = await leaveSpool(join(spoolRoot(service), LEFT_BEHIND), bytes);

    const startedAt = performance.now();
    const server = await service.start();
    const load = startLoad({ url: server.url, connections: 4, rate: 100 });
    let files = 0;
    await eventually(
      async () => {
        files = Math.max(files, openFiles(server));
        return !(await readdir(spoolRoot(service))).includes(LEFT_BEHIND);
      },
      inForm(100_000, 500_000),
    );
    const seconds = (performance.now() - startedAt) / 1000;
    await load.stop();
    const peak = memoryPeakMiB(server);
    const stored = await storedWithin(service.database, load.answers, 30_000);
    const [counted] = await service.database.query<{ rows: number }>('select count(*)::int as rows from predictions');
    reportFault({
      fault: `a spool of ${bytes / MEBIBYTE} MiB of one-row frames left behind`,
      load: '100 requests/s',
      requests: load.requests(),
      failures: load.failures.length,
      stored: { expected: rows + load.answers.length, found: counted!.rows, duplicates: stored.duplicates },
      recoverySeconds: seconds,
      note: `memory at its peak ${Math.round(peak)} MiB (${Math.round(usual)} MiB without), at most ${files} open files`,
    });
    expect(load.failures.slice(0, 3)).toEqual([]);
    expectNothingLost(stored);
    expect(counted!.rows).toBe(rows + load.answers.length);
    expect(peak).toBeLessThan(256);
    expect(files).toBeLessThan(100);
  });
});

describe('one entry that cannot be read', () => {
  test.for([
    ['a lock that is a directory', 'lock'],
    ['a segment that is a directory', '000000000000.segment'],
  ] as const)('%s: all else is stored, and it too when it can be', async ([name, obstacle]) => {
    const service = await prepareService();
    const answered: Load[] = [];
    for (let life = 0; life < 3; life++) answered.push(await answerIntoSpool(service));
    await service.kill();
    const blocked = join(spoolRoot(service), (await readdir(spoolRoot(service))).sort()[0]!);
    await rm(join(blocked, obstacle), { force: true });
    await mkdir(join(blocked, obstacle));
    await service.proxy.set('pass');
    await service.start();
    const answers = answered.flatMap((load) => load.answers);
    const others = Math.min(...answered.map((load) => answers.length - load.answers.length));
    await eventually(async () => (await storedRows(service)) >= others);
    const told = () => service.logged(/cannot be taken over/);
    await eventually(async () => told() === 1);
    await rmdir(join(blocked, obstacle));
    const stored = await storedWithin(service.database, answers, 30_000);
    reportFault({
      fault: `spool: ${name}, then not any more`,
      load: `${answers.length} records left behind by three processes`,
      stored,
      recoverySeconds: stored.seconds,
      note: `told ${told()} time`,
    });
    expectNothingLost(stored);
    expect(told()).toBe(1);
  });
});

describe('what is not the service’s', () => {
  test('stays in DATA_DIR/spool, whatever is taken over beside it', async () => {
    const service = await prepareService();
    const { answers } = await answerIntoSpool(service);
    await service.kill();
    const root = spoolRoot(service);
    const [spool] = await readdir(root);
    const foreign = {
      '2026-11-incident/dead-letter.jsonl': '{"copied": true}\n',
      '2026-11-incident/notes/today.txt': 'do not delete',
      [`${spool}/notes.txt`]: 'why this one is odd',
      'readme.txt': 'a file',
      [`${LEFT_BEHIND}/000000000001.segment`]: 'not a segment',
    };
    for (const [path, text] of Object.entries(foreign)) {
      await mkdir(join(root, path, '..'), { recursive: true });
      await writeFile(join(root, path), text);
    }
    await mkdir(join(root, 'empty'));
    await service.proxy.set('pass');
    await service.start();
    const stored = await storedWithin(service.database, answers, 30_000);
    await eventually(async () => !(await readdir(join(root, spool!))).some((name) => name.endsWith('.segment')));
    // Another start finds them again.
    await service.start();
    await runLoad({ url: service.server.url, connections: 2 }, 300);
    reportFault({
      fault: 'foreign files and directories in DATA_DIR/spool',
      load: `${answers.length} records left behind`,
      stored,
      note: `${Object.keys(foreign).length} of ${Object.keys(foreign).length} stay`,
    });
    expectNothingLost(stored);
    for (const [path, text] of Object.entries(foreign)) expect(await readFile(join(root, path), 'utf8')).toBe(text);
    expect(await readdir(join(root, 'empty'))).toEqual([]);
  });
});

describe('SPOOL_MAX_BYTES', () => {
  test('is the limit of all lives and workers together', async () => {
    const limit = 1_000_000;
    const service = await prepareService({ settings: { SPOOL_MAX_BYTES: String(limit), WORKERS: '2' } });
    await service.start();
    await service.proxy.set('refuse');
    const loads: Load[] = [];
    const sizes: number[] = [];
    for (let life = 0; life < inForm(3, 4); life++) {
      await service.start();
      loads.push(await runLoad({ url: service.server.url, connections: 8 }, inForm(2_000, 5_000)));
      await service.kill();
      sizes.push(spoolBytes(service));
    }
    await service.proxy.set('pass');
    await service.start();
    const answers = loads.flatMap((load) => load.answers);
    const stored = await storedWithin(service.database, answers, 30_000);
    reportFault({
      fault: `SPOOL_MAX_BYTES=${limit} in ${sizes.length} lives of two workers (503 is right then)`,
      load: '8 connections, closed loop',
      requests: loads.reduce((sum, load) => sum + load.requests(), 0),
      stored,
      note: `bytes after each: ${sizes.join(', ')}`,
    });
    expectNothingLost(stored);
    // Each worker may exceed it by a segment, an eighth of it.
    for (const size of sizes) expect(size).toBeLessThanOrEqual(limit * 1.25);
  });
});

describe('PREDICTION_LOG is changed', () => {
  test.each(['sync', 'off'])('to %s: what waits in the spool is stored', async (mode) => {
    const service = await prepareService();
    const { answers } = await answerIntoSpool(service);
    await service.server.stop('SIGTERM');
    await service.proxy.set('pass');
    await service.start({ PREDICTION_LOG: mode });
    const stored = await storedWithin(service.database, answers, 30_000);
    reportFault({
      fault: `PREDICTION_LOG=${mode} after spool`,
      load: `${answers.length} records left behind`,
      stored,
      recoverySeconds: stored.seconds,
    });
    expectNothingLost(stored);
  });
});

/** Starts the service if need be, and has some predictions answered that Postgres does not get. */
async function answerIntoSpool(service: Service): Promise<Load> {
  await service.proxy.set('pass');
  const { url } = await service.start();
  await service.proxy.set('refuse');
  await eventually(async () => (await service.health()).database === 'unavailable');
  return runLoad({ url, connections: 4, rate: 200 }, inForm(300, 1_000));
}

async function storedRows({ database }: Service): Promise<number> {
  const [counted] = await database.query<{ rows: number }>('select count(*)::int as rows from predictions');
  return counted!.rows;
}

function memoryPeakMiB({ process: { pid } }: ServerProcess): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}

function openFiles({ process: { pid } }: ServerProcess): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function spoolBytes(service: Service): number {
  const root = spoolRoot(service);
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.segment'))
    .reduce((sum, name) => sum + readFileSync(join(root, name)).length, 0);
}
