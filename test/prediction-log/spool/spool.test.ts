import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { recordColumns } from '../../../src/prediction-log/record-columns.ts';
import { frameBatch } from '../../../src/prediction-log/spool/frame-batch.ts';
import { createOrphans } from '../../../src/prediction-log/spool/orphans.ts';
import { scanFrames } from '../../../src/prediction-log/spool/scan-frames.ts';
import type { Segment } from '../../../src/prediction-log/spool/segment.ts';
import { createSpool, type Spool } from '../../../src/prediction-log/spool/spool.ts';
import { createSpoolUsage } from '../../../src/prediction-log/spool/spool-usage.ts';
import { contractOf, wines } from '../../support/declaration.ts';
import { makeDirectory } from '../../support/directory.ts';
import { eventually } from '../../support/eventually.ts';
import { silentLog } from '../../support/noted-log.ts';
import { contentsOf, contentsOfBatch, makeBatch, makeColumns } from '../batches.ts';

const columns = makeColumns();
const MEBIBYTE = 1024 * 1024;
const log = silentLog;
let root: string;
let spools: Spool[] = [];

beforeEach(async () => {
  root = await makeDirectory('spool');
});
afterEach(async () => {
  for (const spool of spools) await spool.close();
  spools = [];
  await rm(root, { recursive: true });
});

function open({ maxBytes = 100 * MEBIBYTE, fsync = false } = {}): Spool {
  const spool = createSpool({ root, maxBytes, fsync, log });
  spools.push(spool);
  return spool;
}

const orphansOf = (of: string) => createOrphans({ root: of, log });

const directories = () => readdirSync(root);

describe.each([[false], [true]])('with fsync %s', (fsync) => {
  test('what is appended is in the file when append is done', async () => {
    const spool = open({ fsync });
    const batch = makeBatch(300);
    await spool.append(batch);
    const [segment] = spool.segments();
    const bytes = readFileSync(segment!.path);
    expect(bytes.length).toBe(segment!.writtenBytes);
    const scan = scanFrames(bytes, { maxRows: 1000, isWhole: true });
    expect(scan.columns).toEqual(columns);
    expect(contentsOf(scan.batches)).toEqual(contentsOfBatch(batch));
    expect(segment).toMatchObject({ pendingRows: 300, relayedBytes: 0, sealed: false });
  });
});

test('segments are sealed when they are full, and removed one by one', async () => {
  const spool = open();
  for (let i = 0; i < 20; i++) await spool.append(makeBatch(5000));
  const segments = [...spool.segments()];
  expect(segments.length).toBeGreaterThan(1);
  expect(segments.map(({ sealed }) => sealed)).toEqual(segments.map((_, i) => i < segments.length - 1));
  expect(segments.reduce((sum, { pendingRows }) => sum + pendingRows, 0)).toBe(100_000);
  for (const { path } of segments) expect(statSync(path).size).toBeLessThanOrEqual(8 * MEBIBYTE);
  spool.remove(segments[0]!);
  expect(existsSync(segments[0]!.path)).toBe(false);
  expect(spool.segments()).toEqual(segments.slice(1));
});

describe('batches of several contracts', () => {
  const contractOfSegment = ({ path }: Segment) =>
    scanFrames(readFileSync(path), { maxRows: 1, isWhole: true }).columns;

  test('are in segments of their own, two of which are open while they take turns, and one a while later', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const spool = open();
    for (let i = 0; i < 1_000; i++) await spool.append(makeBatch(1, i % 2 === 0 ? 3 : wines));
    expect(spool.segments()).toMatchObject([
      { columns: makeColumns(3), pendingRows: 500, sealed: false },
      { columns: recordColumns(wines), pendingRows: 500, sealed: false },
    ]);
    expect(spool.segments().map(contractOfSegment)).toEqual([makeColumns(3), recordColumns(wines)]);
    vi.advanceTimersByTime(20_000);
    await spool.append(makeBatch(1, wines));
    await spool.append(makeBatch(1, 3));
    expect(spool.segments()).toMatchObject([
      { pendingRows: 500, sealed: true },
      { pendingRows: 501, sealed: false },
      { columns: makeColumns(3), pendingRows: 1, sealed: false },
    ]);
  });

  test('of a third kind end the one that has been open for longest', async () => {
    const spool = open();
    for (const width of [1, 2, 3]) await spool.append(makeBatch(1, width));
    expect(spool.segments().map(({ sealed }) => sealed)).toEqual([true, false, false]);
  });

  test('share a segment where they have the same columns', async () => {
    const spool = open();
    const described = contractOf(wines.features.map((feature) => ({ ...feature, description: 'Described anew' })));
    for (const contract of [wines, described, wines]) await spool.append(makeBatch(1, contract));
    expect(spool.segments()).toMatchObject([{ pendingRows: 3 }]);
  });

  test('take no more than the limit and a segment, though others take what is left', async () => {
    const maxBytes = MEBIBYTE;
    const pair = [open({ maxBytes }), open({ maxBytes })];
    for (let i = 0, refused = 0; refused < 20; i++) {
      try {
        await pair[i % 2]!.append(makeBatch(50, i % 4 < 2 ? 13 : 12));
      } catch {
        refused++;
      }
    }
    expect(bytesOnDisk()).toBeGreaterThan(maxBytes * 0.9);
    expect(bytesOnDisk()).toBeLessThanOrEqual(maxBytes + pair.length * (maxBytes / 8));
  });

  test('are all that a probe tries when none has come yet', () => {
    expect(open().probe()).toBe(undefined);
    expect(directories()).toEqual([]);
  });
});

const bytesOnDisk = () =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.segment'))
    .reduce((sum, name) => sum + statSync(join(root, name)).size, 0);
const rowsOf = (spool: Spool) => spool.segments().reduce((sum, { pendingRows }) => sum + pendingRows, 0);

describe('at its limit', () => {
  test('it refuses, keeps what it has, and goes on when there is room again', async () => {
    const spool = open({ maxBytes: MEBIBYTE });
    await spool.append(makeBatch(5000));
    const before = spool.segments().map(({ path, writtenBytes }) => ({ path, writtenBytes }));
    expect(() => spool.append(makeBatch(5000))).toThrow(/SPOOL_MAX_BYTES \(1048576\)/);
    expect(spool.segments()).toMatchObject(before.map((segment) => ({ ...segment, sealed: true })));
    for (const { path, writtenBytes } of before) expect(statSync(path).size).toBe(writtenBytes);
    for (const segment of [...spool.segments()]) spool.remove(segment);
    await spool.append(makeBatch(5000));
    expect(rowsOf(spool)).toBe(5000);
  });

  test.each([65_536, 262_144, MEBIBYTE])('of %i bytes a segment has at most an eighth of them', async (maxBytes) => {
    const spool = open({ maxBytes });
    for (let rows = 1; ; rows = (rows * 7) % 300) {
      try {
        await spool.append(makeBatch(rows));
      } catch {
        break;
      }
    }
    expect(spool.segments().length).toBeGreaterThan(6);
    for (const { path } of spool.segments()) expect(statSync(path).size).toBeLessThanOrEqual(maxBytes / 8);
    expect(bytesOnDisk()).toBeLessThanOrEqual(maxBytes);
  });

  test('a batch that is larger than a segment is in several of them, or in none', async () => {
    const spool = open({ maxBytes: 100 * MEBIBYTE, fsync: true });
    const batch = makeBatch(100_000);
    await spool.append(batch);
    expect(spool.segments().length).toBeGreaterThan(1);
    for (const { path } of spool.segments()) expect(statSync(path).size).toBeLessThanOrEqual(8 * MEBIBYTE);
    const scans = spool.segments().map(({ path }) => scanFrames(readFileSync(path), { maxRows: 1e6, isWhole: true }));
    expect(contentsOf(scans.flatMap(({ batches }) => batches))).toEqual(contentsOfBatch(batch));
    const small = open({ maxBytes: 65_536 });
    const bytes = bytesOnDisk();
    expect(() => small.append(batch)).toThrow(/SPOOL_MAX_BYTES/);
    expect(bytesOnDisk()).toBe(bytes);
  });

  test('what other processes and dead ones hold counts too, until it is gone', async () => {
    const maxBytes = 100_000;
    const other = open({ maxBytes });
    await other.append(makeBatch(400));
    const dead = createSpool({ root, maxBytes, fsync: false, log });
    await dead.append(makeBatch(100));
    await dead.close();
    const spool = open({ maxBytes });
    expect(() => spool.append(makeBatch(300))).toThrow(/SPOOL_MAX_BYTES/);
    await spool.append(makeBatch(50));
    expect(createSpoolUsage(root).recent()).toBe(bytesOnDisk());
    for (const segment of [...other.segments()]) other.remove(segment);
    await spool.append(makeBatch(300));
    expect(bytesOnDisk()).toBeLessThanOrEqual(maxBytes);
  });

  test('four lives, one after another, stay within it', async () => {
    const maxBytes = 200_000;
    for (let life = 0; life < 4; life++) {
      const spool = createSpool({ root, maxBytes, fsync: false, log });
      expect(() => {
        for (let i = 0; i < 100; i++) void spool.append(makeBatch(100));
      }).toThrow(/SPOOL_MAX_BYTES/);
      await spool.close();
      expect(bytesOnDisk()).toBeLessThanOrEqual(maxBytes);
    }
  });
});

describe('a disk that is not well', () => {
  test('at the start is found out by the first append, and tried again by each', async () => {
    await rm(root, { recursive: true });
    writeFileSync(root, 'a file where the directory should be');
    const spool = open();
    expect(() => spool.append(makeBatch(1))).toThrow(/ENOTDIR|EEXIST/);
    expect(() => spool.probe()).toThrow(/ENOTDIR|EEXIST/);
    await rm(root);
    await spool.probe();
    await spool.append(makeBatch(2));
    expect(rowsOf(spool)).toBe(2);
  });

  test('a directory that somebody has removed is made anew', async () => {
    const spool = open({ maxBytes: MEBIBYTE });
    await spool.append(makeBatch(2));
    await rm(root, { recursive: true });
    // More than the open segment has room for.
    await spool.append(makeBatch(2000));
    await spool.append(makeBatch(3));
    expect(directories()).toHaveLength(1);
    const left = spool.segments().filter(({ path }) => existsSync(path));
    expect(left.reduce((sum, { pendingRows }) => sum + pendingRows, 0)).toBeGreaterThan(1100);
    for (const segment of [...spool.segments()]) spool.remove(segment);
    expect(spool.segments()).toEqual([]);
  });

  test('a lock that somebody has removed is had again, before this process takes its own spool for a dead one', async () => {
    const spool = open();
    await spool.append(makeBatch(1));
    const lock = join(dirname(spool.segments()[0]!.path), 'lock');
    await rm(lock);
    const own = createOrphans({ root, isOwn: spool.owns, log });
    expect(await own.adopt()).toBe(0);
    await eventually(async () => {
      await spool.append(makeBatch(1));
      return existsSync(lock);
    });
    expect(await orphansOf(root).adopt()).toBe(0);
    expect(spool.segments()).toHaveLength(1);
    expect(directories()).toHaveLength(1);
  });

  test('a try leaves no record and no file that grows', async () => {
    const spool = open({ fsync: true });
    await spool.append(makeBatch(40));
    const [{ path, writtenBytes }] = spool.segments() as [Segment];
    for (let i = 0; i < 3; i++) await spool.probe();
    expect(statSync(path).size).toBe(writtenBytes);
    await spool.append(makeBatch(1));
    expect(scanFrames(readFileSync(path), { maxRows: 100, isWhole: true })).toMatchObject({ rows: 41, damaged: [] });
  });
});

test('appends at the same time share syncs, and each resolves after one that began when it was written', async () => {
  const spool = open({ fsync: true });
  await Promise.all(Array.from({ length: 200 }, () => spool.append(makeBatch(1000))));
  expect(spool.segments().length).toBeGreaterThan(2);
  expect(rowsOf(spool)).toBe(200_000);
});

test('an emptied spool leaves no directory behind; what waits is left for the next process', async () => {
  const empty = open();
  await empty.close();
  expect(directories()).toEqual([]);
  const waiting = open();
  await waiting.append(makeBatch(2));
  await waiting.close();
  expect(directories()).toHaveLength(1);
  spools = [];
});

describe('a spool whose process is gone', () => {
  /** Leaves a spool behind with `rows` rows, a frame each, and returns its only segment's file. */
  async function leave(rows: number): Promise<string> {
    const spool = createSpool({ root, maxBytes: MEBIBYTE, fsync: false, log });
    for (let i = 0; i < rows; i++) await spool.append(makeBatch(1));
    const { path } = spool.segments()[0]!;
    await spool.close();
    return path;
  }

  test('is adopted once, and that of a living one never', async () => {
    const living = open();
    await living.append(makeBatch(1));
    await leave(40);
    const orphans = orphansOf(root);
    expect(await orphans.adopt()).toBe(40);
    expect(orphans.segments()).toMatchObject([{ pendingRows: 40, relayedBytes: 0, sealed: true }]);
    expect(await orphans.adopt()).toBe(0);
    expect(await orphansOf(root).adopt()).toBe(0);
    await orphans.remove(orphans.segments()[0]!);
    expect(orphans.segments()).toEqual([]);
    expect(directories()).toHaveLength(1);
  });

  test('is measured to its last whole frame: torn frames and zeros at the end do not count', async () => {
    const frame = Buffer.from(frameBatch(makeBatch(3), Buffer.alloc(0)));
    for (const tail of [frame.subarray(0, 2), frame.subarray(0, 50), Buffer.alloc(1), Buffer.alloc(5000)]) {
      const path = await leave(4);
      const intact = readFileSync(path);
      writeFileSync(path, Buffer.concat([intact, tail]));
      const orphans = orphansOf(root);
      await orphans.adopt();
      expect(orphans.segments()).toMatchObject([{ pendingRows: 4, writtenBytes: intact.length }]);
      await orphans.remove(orphans.segments()[0]!);
    }
  });

  test('counts every row of an intact frame, whatever one bit of another has become', async () => {
    const path = await leave(10);
    const intact = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(fc.nat(intact.length * 8 - 1), async (bit) => {
        const damaged = Buffer.from(intact);
        damaged[bit >> 3]! ^= 1 << (bit & 7);
        writeFileSync(path, damaged);
        const orphans = orphansOf(root);
        await orphans.adopt();
        const [segment] = orphans.segments();
        expect(segment!.pendingRows).toBeGreaterThanOrEqual(9);
        const bytes = readFileSync(path).subarray(0, segment!.writtenBytes);
        const scan = scanFrames(bytes, { maxRows: 100, isWhole: true });
        expect(scan.rows).toBe(segment!.pendingRows);
        await orphans.remove(segment!);
        await mkdir(dirname(path));
      }),
    );
  });
});
