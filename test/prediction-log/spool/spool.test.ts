import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { frameBatch, scanFrames } from '../../../src/prediction-log/spool/frames.ts';
import { createOrphans } from '../../../src/prediction-log/spool/orphans.ts';
import { openSpool, type Spool } from '../../../src/prediction-log/spool/spool.ts';
import { makeDirectory } from '../../support/directory.ts';
import { contentsOf, contentsOfBatch, makeBatch, makeColumns } from '../batches.ts';

const columns = makeColumns();
const MEBIBYTE = 1024 * 1024;
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

async function open({ maxBytes = 100 * MEBIBYTE, fsync = false } = {}): Promise<Spool> {
  const spool = await openSpool({ root, columns, maxBytes, fsync });
  spools.push(spool);
  return spool;
}

const orphansOf = (of: string) =>
  createOrphans({ root: of, columns, log: { info: () => undefined, warn: () => undefined } });

const directories = () => readdirSync(root);

describe.each([[false], [true]])('with fsync %s', (fsync) => {
  test('what is appended is in the file when append is done', async () => {
    const spool = await open({ fsync });
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
  const spool = await open();
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

test('at its limit it refuses, keeps what it has, and goes on when there is room again', async () => {
  const spool = await open({ maxBytes: MEBIBYTE });
  await spool.append(makeBatch(5000));
  const [first] = spool.segments();
  const { writtenBytes } = first!;
  expect(() => spool.append(makeBatch(5000))).toThrow(/SPOOL_MAX_BYTES \(1048576\)/);
  expect(first).toMatchObject({ writtenBytes, sealed: true, pendingRows: 5000 });
  expect(statSync(first!.path).size).toBe(writtenBytes);
  spool.remove(first!);
  await spool.append(makeBatch(5000));
  expect(spool.segments()).toMatchObject([{ pendingRows: 5000 }]);
});

test('an emptied spool leaves no directory behind; what waits is left for the next process', async () => {
  const empty = await open();
  await empty.close();
  expect(directories()).toEqual([]);
  const waiting = await open();
  await waiting.append(makeBatch(2));
  await waiting.close();
  expect(directories()).toHaveLength(1);
  spools = [];
});

describe('a spool whose process is gone', () => {
  /** Leaves a spool behind with `rows` rows, a frame each, and returns its only segment's file. */
  async function leave(rows: number): Promise<string> {
    const spool = await openSpool({ root, columns, maxBytes: MEBIBYTE, fsync: false });
    for (let i = 0; i < rows; i++) await spool.append(makeBatch(1));
    const { path } = spool.segments()[0]!;
    await spool.close();
    return path;
  }

  test('is adopted once, and that of a living one never', async () => {
    const living = await open();
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
