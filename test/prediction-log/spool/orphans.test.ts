import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { countSegment } from '../../../src/prediction-log/spool/count-segment.ts';
import { frameBatch, frameHeader } from '../../../src/prediction-log/spool/frame-batch.ts';
import { createOrphans, type Orphans } from '../../../src/prediction-log/spool/orphans.ts';
import { createSpool } from '../../../src/prediction-log/spool/spool.ts';
import { makeDirectory } from '../../support/directory.ts';
import { createNotedLog } from '../../support/noted-log.ts';
import { makeBatch, makeColumns } from '../batches.ts';

const columns = makeColumns();
const UUID = '0e9d7a52-60a1-4c1e-8f43-5a1c2f1f7d33';
const { log, lines: told } = createNotedLog();
let root: string;
let opened: Orphans[] = [];

beforeEach(async () => {
  root = await makeDirectory('orphans');
  told.length = 0;
});
afterEach(async () => {
  for (const orphans of opened) await orphans.close();
  opened = [];
  await rm(root, { recursive: true });
});

function orphansOf(): Orphans {
  const orphans = createOrphans({ root, log });
  opened.push(orphans);
  return orphans;
}

/** Leaves a spool behind with a row, and returns its only segment's file. */
async function leave(): Promise<string> {
  const spool = createSpool({ root, maxBytes: 1e8, fsync: false, log });
  await spool.append(makeBatch(1));
  const { path } = spool.segments()[0]!;
  await spool.close();
  return path;
}

async function removeAll(orphans: Orphans): Promise<void> {
  while (orphans.segments().length > 0) await orphans.remove(orphans.segments()[0]!);
}

describe('what cannot be read holds up nothing else, is told once, and is taken over when it can be', () => {
  test.each<[obstacle: string, put: (path: string) => void, clear: (path: string) => Promise<void>]>([
    [
      'a segment that is a directory',
      (path) => mkdirSync(join(dirname(path), '000000000000.segment')),
      (path) => rmdir(join(dirname(path), '000000000000.segment')),
    ],
    [
      'a segment that is a link',
      (path) => symlinkSync(path, join(dirname(path), '000000000000.segment')),
      (path) => rm(join(dirname(path), '000000000000.segment')),
    ],
    [
      'a lock that is a directory',
      (path) => {
        void rm(join(dirname(path), 'lock')).then(() => mkdirSync(join(dirname(path), 'lock')));
      },
      (path) => rmdir(join(dirname(path), 'lock')),
    ],
  ])('%s', async (_name, put, clear) => {
    const paths = [await leave(), await leave(), await leave()];
    put(paths[1]!);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const orphans = orphansOf();
    const first = await orphans.adopt();
    expect(first).toBeGreaterThanOrEqual(2);
    expect(orphans.obstacles().size).toBe(1);
    await orphans.adopt();
    expect(told).toHaveLength(1);
    await clear(paths[1]!);
    expect(first + (await orphans.adopt())).toBe(3);
    expect(orphans.obstacles().size).toBe(0);
    await removeAll(orphans);
    expect(readdirSync(root)).toEqual([]);
  });

  test('no lock is kept for it', async () => {
    const path = await leave();
    await rename(path, `${path}.away`);
    mkdirSync(path);
    const orphans = orphansOf();
    expect(await orphans.adopt()).toBe(0);
    await rmdir(path);
    await rename(`${path}.away`, path);
    expect(await orphansOf().adopt()).toBe(1);
  });
});

describe('what the service has not made stays as it is', () => {
  const incident = () => join(root, '2026-11-incident');

  test('a directory of another name, whatever is in it', async () => {
    const path = await leave();
    await rename(dirname(path), incident());
    const before = readdirSync(incident());
    await orphansOf().adopt();
    expect(readdirSync(incident())).toEqual(before);
    mkdirSync(join(root, 'empty'));
    await orphansOf().adopt();
    expect(existsSync(join(root, 'empty'))).toBe(true);
  });

  test('files beside the segments, and then the directory too, which is told once', async () => {
    const directory = dirname(await leave());
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    mkdirSync(join(directory, 'more'));
    const orphans = orphansOf();
    expect(await orphans.adopt()).toBe(1);
    await removeAll(orphans);
    for (let i = 0; i < 3; i++) await orphans.adopt();
    expect(readdirSync(directory).sort()).toEqual(['more', 'notes.txt']);
    expect(told).toHaveLength(1);
  });

  test('a file with the name of a segment in which nothing is ours', async () => {
    const path = join(root, UUID, '000000000001.segment');
    mkdirSync(dirname(path));
    writeFileSync(path, 'somebody’s notes');
    const orphans = orphansOf();
    await orphans.adopt();
    expect(orphans.segments()).toEqual([]);
    expect(readFileSync(path, 'utf8')).toBe('somebody’s notes');
    expect(told).toMatchObject([{ fields: { path } }]);
  });

  test('a lock that holds something', async () => {
    mkdirSync(join(root, UUID));
    writeFileSync(join(root, UUID, 'lock'), 'mine');
    await orphansOf().adopt();
    expect(readFileSync(join(root, UUID, 'lock'), 'utf8')).toBe('mine');
  });
});

test('an empty directory and one with a lock only are what a process leaves that dies early: they go', async () => {
  mkdirSync(join(root, UUID));
  const path = await leave();
  await rm(path);
  await orphansOf().adopt();
  expect(readdirSync(root)).toEqual([]);
});

test('hundreds of spools are taken over with some locks at a time, all of them in the end', async () => {
  for (let i = 0; i < 150; i++) await leave();
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  const orphans = orphansOf();
  await orphans.adopt();
  expect(descriptors() - before).toBeLessThanOrEqual(70);
  let rows = 0;
  while (readdirSync(root).length > 0) {
    const [segment] = orphans.segments();
    if (!segment) await orphans.adopt();
    else {
      rows += segment.pendingRows;
      await orphans.remove(segment);
    }
  }
  expect(rows).toBe(150);
});

test('thousands of small segments are held some at a time, all of them in the end', async () => {
  const path = await leave();
  for (let i = 2; i <= 2_500; i++) copyFileSync(path, join(dirname(path), `${String(i).padStart(12, '0')}.segment`));
  const orphans = orphansOf();
  await orphans.adopt();
  let most = 0;
  let rows = 0;
  while (readdirSync(root).length > 0) {
    most = Math.max(most, orphans.segments().length);
    const [segment] = orphans.segments();
    if (!segment) await orphans.adopt();
    else {
      rows += segment.pendingRows;
      await orphans.remove(segment);
    }
  }
  expect(rows).toBe(2_500);
  expect(most).toBe(1_000);
});

test('segments can be relayed while others are counted, which lets the event loop through', async () => {
  const path = await leave();
  const frame = Buffer.from(frameBatch(makeBatch(1), Buffer.alloc(1000)));
  const bytes = Buffer.concat([frameHeader(columns), ...Array.from({ length: 40_000 }, () => frame)]);
  for (const name of ['000000000002.segment', '000000000003.segment']) writeFileSync(join(dirname(path), name), bytes);
  const orphans = orphansOf();
  const seen: number[] = [];
  let turns = 0;
  const count = () => {
    turns++;
    turning = setImmediate(count);
  };
  let turning = setImmediate(count);
  expect(await orphans.adopt(() => seen.push(orphans.segments().length))).toBe(80_001);
  clearImmediate(turning);
  expect(seen).toEqual([1, 2, 3]);
  expect(turns).toBeGreaterThan((2 * bytes.length) / (128 * 1024));
});

test('a directory is not let go of while some of it is still to be counted', async () => {
  const path = await leave();
  writeFileSync(join(dirname(path), '000000000002.segment'), readFileSync(path));
  const orphans = orphansOf();
  const removing: Promise<void>[] = [];
  const rows = await orphans.adopt(() =>
    removing.push(...orphans.segments().map((segment) => orphans.remove(segment))),
  );
  await Promise.all(removing);
  await orphans.adopt();
  expect(rows).toBe(2);
  expect(readdirSync(root)).toEqual([]);
});

test('a record of thousands of columns is longer than what is looked at in one turn, and counted all the same', async () => {
  const path = join(root, '1.segment');
  writeFileSync(path, Buffer.concat([frameHeader(columns), frameBatch(makeBatch(2, 50_000), Buffer.alloc(0))]));
  expect(await countSegment(path)).toMatchObject({ pendingRows: 2, writtenBytes: statSync(path).size, isProof: true });
});
