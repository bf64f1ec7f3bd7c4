import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { housing } from '../../../src/housing/features.ts';
import type { BatchBlocks, PredictionBatch } from '../../../src/prediction-log/prediction-batch.ts';
import { recordColumns } from '../../../src/prediction-log/record-columns.ts';
import { type FrameScan, frameBatch, frameHeader, scanFrames } from '../../../src/prediction-log/spool/frames.ts';
import { unpack } from '../../../src/prediction-log/spool/packed-batch.ts';
import { contentsOf, contentsOfBatch, makeBatch, makeColumns } from '../batches.ts';

const scratch = Buffer.alloc(64 * 1024);
const frame = (rows: number, width?: number, version?: string) =>
  Buffer.from(frameBatch(makeBatch(rows, width, version), scratch));
const all = { maxRows: Number.POSITIVE_INFINITY, isWhole: true };

/** A segment of a header and twelve batches of one to five rows, a frame each; `frames` says where they begin. */
function makeSegment() {
  const parts = [frameHeader(makeColumns()), ...Array.from({ length: 12 }, (_, i) => frame(1 + (i % 5)))];
  const frames = parts.map((_, i) => parts.slice(0, i).reduce((sum, { length }) => sum + length, 0));
  return { bytes: Buffer.concat(parts), frames };
}

describe('a batch in frames', () => {
  test.each([
    [1, 13],
    [26, 13],
    [1000, 13],
    [5000, 13],
    [3, 1],
    [200, 300],
    [2, 1600],
  ])('of %i rows of %i features comes back whole', (rows, width) => {
    const batch = makeBatch(rows, width);
    const scan = scanFrames(frameBatch(batch, scratch), all);
    expect(contentsOf(scan.batches)).toEqual(contentsOfBatch(batch));
    expect(scan).toMatchObject({ rows, damaged: [], endsDamaged: false, columns: undefined });
  });

  test('keeps a version in any script', () => {
    const [batch] = scanFrames(frame(2, 13, 'Gabbro-№7-石'), all).batches;
    expect(batch!.pipelineVersion).toBe('Gabbro-№7-石');
  });

  test('has small frames, so that damage costs few rows', () => {
    const { batches } = scanFrames(frameBatch(makeBatch(1000), scratch), all);
    expect(batches.length).toBeGreaterThan(1);
    for (const { ids } of batches) expect(ids.length).toBeLessThan(17 * 1024);
  });

  test('is not the next one’s when there is room for it in the scratch memory: it is overwritten', () => {
    const first = frameBatch(makeBatch(1), scratch);
    expect(frameBatch(makeBatch(1), scratch).buffer).toBe(first.buffer);
    expect(frameBatch(makeBatch(1000), scratch).buffer).not.toBe(first.buffer);
  });
});

describe('what earlier versions have written, and what they will have to read after a roll back', () => {
  /** Of the data set that ships, the same at each call. */
  function houses(rows: number): PredictionBatch {
    const valueAt = (i: number) => {
      if (housing.features[i % housing.features.length]!.dtype === 'int64') return (i % 49) - 24;
      return i % 7 === 0 ? -0 : (i - 20) / 8;
    };
    return {
      contract: housing,
      ids: Uint8Array.from({ length: 16 * rows }, (_, i) => (i * 37 + (i >> 4)) % 256),
      features: Float64Array.from({ length: rows * housing.features.length }, (_, i) => valueAt(i)),
      predictions: Float64Array.from({ length: rows }, (_, i) => 20 + i / 4),
      pipelineVersion: '2026_11_22__16_08_52',
      createdAt: new Date('2026-11-22T16:10:00.123Z'),
    };
  }

  test('is what is written now, byte for byte', () => {
    const frames = [1, 2, 5].map((rows) => Buffer.from(frameBatch(houses(rows), scratch)));
    const segment = readFileSync(join(import.meta.dirname, 'fixtures/housing.segment'));
    expect(Buffer.concat([frameHeader(recordColumns(housing)), ...frames])).toEqual(segment);
    expect(
      createHash('sha256')
        .update(frameBatch(houses(1000), scratch))
        .digest('hex'),
    ).toBe('8e6e27e26a61a79401e33f8480f3ae7ba9fb94d084ceecfebb2774b91734a553');
  });
});

describe('a segment', () => {
  test('begins with its columns', () => {
    const { bytes } = makeSegment();
    expect(scanFrames(bytes, all).columns).toEqual(makeColumns());
  });

  test('is read in windows of any size as in one go', () => {
    const { bytes } = makeSegment();
    const whole = scanFrames(bytes, all);
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: bytes.length }), fc.integer({ min: 1, max: 40 }), (window, maxRows) => {
        const scans = readInWindows(bytes, window, maxRows);
        expect(contentsOf(scans.flatMap(({ batches }) => batches))).toEqual(contentsOf(whole.batches));
        expect(scans.flatMap(({ damaged }) => damaged)).toEqual([]);
      }),
    );
  });

  const change = fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat(7) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 600 }) }),
    fc.record({ kind: fc.constant('zero' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 600 }) }),
    fc.record({
      kind: fc.constant('insert' as const),
      at: fc.nat(),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 99 }),
    }),
  );

  test('that is damaged anywhere loses the frames that were touched and no other', () => {
    const { bytes, frames } = makeSegment();
    fc.assert(
      fc.property(change, (made) => {
        const at = made.at % bytes.length;
        const length = 'length' in made ? made.length : made.kind === 'flip' ? 1 : 0;
        const isTouched = (start: number, i: number) =>
          start < at + Math.max(1, length) && (frames[i + 1] ?? bytes.length) > at;
        const untouched = frames.filter((start, i) => i > 0 && !isTouched(start, i));
        const expected = untouched.map(
          (start) => scanFrames(bytes.subarray(start), { ...all, maxRows: 1 }).batches[0]!,
        );

        const damaged = damage(bytes, at, made);
        const read = scanFrames(damaged, all).batches.map(packed);
        expect(read).toEqual(expect.arrayContaining(expected.map(packed)));
        expect(read.length).toBeLessThanOrEqual(frames.length - 1);
      }),
      { numRuns: 500 },
    );
  });

  test('of anything at all is read to its end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (noise) => {
        const bytes = Buffer.concat([Buffer.from(noise), Buffer.from('RSP1RSPH'), Buffer.from(noise)]);
        expect(scanFrames(bytes, all)).toMatchObject({ rows: 0, consumed: bytes.length });
      }),
    );
  });

  test('leaves the beginning of a frame to be read later, unless nothing follows', () => {
    const whole = frame(3);
    for (const length of [1, 2, 3, 11, 12, 13, whole.length - 1]) {
      const begun = Buffer.concat([frame(2), whole.subarray(0, length)]);
      expect(scanFrames(begun, { ...all, isWhole: false })).toMatchObject({
        rows: 2,
        consumed: begun.length - length,
      });
      expect(scanFrames(begun, all)).toMatchObject({ rows: 2, consumed: begun.length, endsDamaged: true });
    }
  });

  test('whose length is damaged does not hide what follows', () => {
    const bytes = Buffer.concat([frame(1), frame(2), frame(4)]);
    bytes.writeUInt32BE(900_000, frame(1).length + 8);
    expect(scanFrames(bytes, all)).toMatchObject({ rows: 5, damaged: [{ length: frame(2).length }] });
  });
});

test('bytes that are no packed batch are told apart', () => {
  expect(unpack(Buffer.alloc(0))).toBeUndefined();
  expect(unpack(Buffer.alloc(100))).toBeUndefined();
  expect(unpack(Buffer.alloc(200, 0xff))).toBeUndefined();
});

/** The payload that a batch was found in. */
function packed({ ids }: BatchBlocks): string {
  return Buffer.from(ids).toString('hex');
}

function readInWindows(bytes: Buffer, window: number, maxRows: number): FrameScan[] {
  const scans: FrameScan[] = [];
  for (let position = 0; position < bytes.length; ) {
    const end = Math.min(bytes.length, position + window);
    const scan = scanFrames(bytes.subarray(position, end), { maxRows, isWhole: end === bytes.length });
    expect(scan.consumed).toBeGreaterThan(0);
    scans.push(scan);
    position += scan.consumed;
  }
  return scans;
}

type Change =
  | { kind: 'flip'; bit: number }
  | { kind: 'cut' | 'zero'; length: number }
  | { kind: 'insert'; bytes: Uint8Array };

function damage(bytes: Buffer, at: number, made: Change): Buffer {
  const before = bytes.subarray(0, at);
  switch (made.kind) {
    case 'flip':
      return Buffer.concat(
        [before, [bytes[at]! ^ (1 << made.bit)], bytes.subarray(at + 1)].map((part) => Buffer.from(part)),
      );
    case 'cut':
      return Buffer.concat([before, bytes.subarray(at + made.length)]);
    case 'zero':
      return Buffer.concat([
        before,
        Buffer.alloc(Math.min(made.length, bytes.length - at)),
        bytes.subarray(at + made.length),
      ]);
    case 'insert':
      return Buffer.concat([before, made.bytes, bytes.subarray(at)]);
  }
}
