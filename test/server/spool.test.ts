import { execFile } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exampleRow } from '../../src/contract/rows.ts';
import type { Value } from '../../src/contract/values.ts';
import { frameBatch } from '../../src/prediction-log/spool/frame-batch.ts';
import { createSpool, type Spool } from '../../src/prediction-log/spool/spool.ts';
import { batchOf, makeBatch } from '../prediction-log/batches.ts';
import { everyType } from '../support/declaration.ts';
import { makeDirectory } from '../support/directory.ts';
import { silentLog } from '../support/noted-log.ts';

const script = join(import.meta.dirname, '../../dist/scripts/spool.js');
let root: string;
let spool: Spool;

beforeEach(async () => {
  root = await makeDirectory('spool-command');
  spool = createSpool({ root, maxBytes: 1e8, fsync: false, log: silentLog });
});
afterEach(async () => {
  await spool.close();
  await rm(root, { recursive: true });
});

interface Shown {
  code: number | string;
  lines: { segment: string; record?: Record<string, unknown>; reason?: string; bytes?: string }[];
  stderr: string;
}

function show(...options: string[]): Promise<Shown> {
  return new Promise((resolve) =>
    execFile(process.execPath, [script, ...options], { maxBuffer: 1e8 }, (error, stdout, stderr) =>
      resolve({
        code: error?.code ?? 0,
        lines: stdout
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line)),
        stderr,
      }),
    ),
  );
}

const segmentPath = () => spool.segments()[0]!.path;

describe('npm run spool', () => {
  test('shows the records of a spool that its process is writing, as they were answered, and changes nothing', async () => {
    const batch = makeBatch(300, 2);
    await spool.append(batch);
    const path = segmentPath();
    const before = [readFileSync(path), readdirSync(dirname(path)), statSync(path).mtimeMs];
    const { code, lines, stderr } = await show(root);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lines).toHaveLength(300);
    expect(lines[7]).toEqual({
      segment: join(basename(dirname(path)), basename(path)),
      record: {
        id: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
        f0: batch.features[14],
        f1: batch.features[15],
        prediction: batch.predictions[7],
        pipeline_version: batch.pipelineVersion,
        created_at: batch.createdAt.toISOString(),
      },
    });
    expect(lines.map(({ record }) => record!.prediction)).toEqual([...batch.predictions]);
    expect([readFileSync(path), readdirSync(dirname(path)), statSync(path).mtimeMs]).toEqual(before);
    await spool.append(makeBatch(1, 2));
    expect((await show(root)).lines).toHaveLength(301);
  });

  test('takes the directory of all spools, of one, or a segment, and --json', async () => {
    await spool.append(makeBatch(3, 2));
    const all = await show(root);
    expect(all.lines).toHaveLength(3);
    for (const path of [dirname(segmentPath()), segmentPath()]) expect(await show(path)).toEqual(all);
    expect(await show('--json', root)).toEqual(all);
  });

  test('shows what is damaged in its place, and what the end of a file lacks', async () => {
    for (let i = 0; i < 2; i++) await spool.append(makeBatch(1, 2));
    const path = segmentPath();
    const frame = frameBatch(makeBatch(1, 2), Buffer.alloc(1000));
    const bytes = readFileSync(path);
    const damaged = Buffer.from(bytes);
    // The first of two frames of equal length at the end.
    damaged[bytes.length - frame.length - 1]! ^= 1;
    writeFileSync(path, Buffer.concat([damaged, frame.subarray(0, 40)]));
    const { code, lines } = await show(path);
    expect(code).toBe(0);
    expect(lines.map(({ reason, record }) => reason ?? typeof record)).toEqual([
      'the checksum does not fit',
      'object',
      expect.stringContaining('being written'),
    ]);
    expect(Buffer.from(lines[2]!.bytes!, 'base64')).toEqual(frame.subarray(0, 40));
  });

  test('shows texts, booleans and null as they were sent, and what a later version has written as bytes', async () => {
    const apartment = { ...exampleRow(everyType), district: 'Śródmieście', garden: null } as Record<string, Value>;
    await spool.append(batchOf(everyType, [apartment]));
    await spool.append(makeBatch(1, 2));
    const later = Buffer.alloc(20);
    later.write('RSP3');
    later.writeUInt32BE(8, 8);
    later.writeUInt32BE(crc32(later.subarray(8), crc32(later.subarray(0, 4))), 4);
    appendFileSync(segmentPath(), Buffer.concat([later, frameBatch(batchOf(everyType, [apartment]), Buffer.alloc(0))]));
    const { lines } = await show(root);
    expect(lines).toHaveLength(4);
    expect(lines[0]!.record).toMatchObject({
      size: 71.5,
      rooms_total: 3,
      district: 'Śródmieście',
      garden: null,
      lift: true,
    });
    expect(lines[1]).toMatchObject({
      reason: expect.stringContaining('later version'),
      bytes: later.toString('base64'),
    });
    expect(lines[2]!.record).toMatchObject({ district: 'Śródmieście' });
    expect(lines[3]!.record).toHaveProperty('f1');
  });

  test('shows records of segments larger than what it reads at once', async () => {
    for (let i = 0; i < 40; i++) await spool.append(makeBatch(2000, 2));
    const { lines } = await show(root);
    expect(lines).toHaveLength(80_000);
    expect(lines.filter(({ record }) => !record)).toEqual([]);
    expect(new Set(lines.map(({ record }) => record!.id)).size).toBe(80_000);
  });

  test('shows nothing of a directory in which nothing waits', async () => {
    expect(await show(root)).toEqual({ code: 0, lines: [], stderr: '' });
  });

  test('goes on behind a segment that cannot be read, and ends with 1', async () => {
    await spool.append(makeBatch(3, 2));
    await mkdir(join(dirname(segmentPath()), '000000000000.segment'));
    const { code, lines, stderr } = await show(root);
    expect(code).toBe(1);
    expect(lines).toHaveLength(3);
    expect(stderr).toMatch(/000000000000\.segment cannot be shown\. it is not a file/);
  });

  test.each([
    ['a path that is not there', () => join(root, 'nothing'), /cannot be shown\. ENOENT/],
    ['a directory that is no spool', () => import.meta.dirname, /is no spool\. Name DATA_DIR\/spool/],
  ])('says of %s what to name, and ends with 1', async (_, path, message) => {
    const { code, lines, stderr } = await show(path());
    expect({ code, lines }).toEqual({ code: 1, lines: [] });
    expect(stderr).toMatch(message);
  });

  test.each([
    [[], /^DIR is missing\n\nUsage: npm run spool/],
    [['a', 'b'], /^'b': expected one DIR\n\nUsage: /],
    [['--bogus', 'a'], /^Unknown option '--bogus'/],
  ])('cannot follow %j, says so, and ends with 2', async (options, message) => {
    const { code, stderr } = await show(...options);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
