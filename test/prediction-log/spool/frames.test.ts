import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { housing } from '../../../src/housing/features.ts';
import type { BatchBlocks, PredictionBatch } from '../../../src/prediction-log/prediction-batch.ts';
import { recordColumns } from '../../../src/prediction-log/record-columns.ts';
import { frameBatch, frameHeader } from '../../../src/prediction-log/spool/frame-batch.ts';
import { unpack } from '../../../src/prediction-log/spool/packed-batch.ts';
import { countFrames, type FrameScan, scanFrames } from '../../../src/prediction-log/spool/scan-frames.ts';
import { anyText } from '../../support/any-json.ts';
import { contractOf } from '../../support/declaration.ts';
import { batchOf, contentsOf, contentsOfBatch, makeBatch, makeColumns } from '../batches.ts';

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

describe('a batch with texts or nulls in frames', () => {
  const houses = contractOf([
    { name: 'district', dtype: 'string', categories: ['Mokotów', 'Wola'], nullable: true },
    { name: 'rooms', dtype: 'int64', nullable: true },
    { name: 'remark', dtype: 'string' },
  ]);
  const row = fc.record({
    district: fc.oneof(fc.constantFrom(null, 'Mokotów', 'Wola'), anyText),
    rooms: fc.option(fc.maxSafeInteger()),
    remark: fc.oneof(anyText, fc.constant('long '.repeat(1_000))),
  });
  const textOf = (value: Uint8Array | undefined) => value && Buffer.from(value).toString('utf8');
  /** The values of frames, by their slots and texts. */
  const rowsOf = (bytes: Buffer) =>
    scanFrames(bytes, all).batches.flatMap((batch) =>
      Array.from({ length: batch.rows }, (_, i) => {
        const [district, rooms, remark] = [0, 1, 2].map((feature) =>
          batch.features.getFloat64(batch.featuresAt + 8 * (3 * i + feature), true),
        ) as [number, number, number];
        const orNull = (slot: number, value: unknown) => (Number.isNaN(slot) ? null : value);
        return {
          district: orNull(district, textOf(batch.textOf!(district))),
          rooms: orNull(rooms, rooms),
          remark: textOf(batch.textOf!(remark)),
        };
      }),
    );

  test('comes back whole, in small frames, each with the texts of its own rows alone', () => {
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 40 }), (rows) => {
        const batch = batchOf(houses, rows);
        const bytes = Buffer.from(frameBatch(batch, scratch));
        expect(rowsOf(bytes)).toEqual(rows);
        const { batches, rows: count, damaged } = scanFrames(bytes, all);
        expect({ count, damaged }).toEqual({ count: rows.length, damaged: [] });
        expect(contentsOf(batches).ids).toBe(contentsOfBatch(batch).ids);
        for (const { ids } of batches) expect(ids.length).toBeLessThan(17 * 1024);
        // Not used by any row of theirs.
        for (const one of batches) expect(one.textOf!(3 * one.rows)).toBeUndefined();
      }),
    );
  });

  test('is laid out as it is drawn, with room for references', () => {
    const rows = ['Wola', null, 'Wola'].map((district) => ({ district, rooms: 1, remark: 'é' }));
    const bytes = frameBatch(batchOf(houses, rows), scratch);
    expect(bytes.toString('latin1', 0, 4)).toBe('RSP2');
    const tail = Buffer.alloc(12 + 8);
    for (const [i, value] of [2, 0, 6, 4, 2].entries()) tail.writeUInt32LE(value, 4 * i);
    expect(bytes.subarray(-tail.length - 6)).toEqual(Buffer.concat([tail, Buffer.from('Wolaé')]));
  });

  test('that is damaged anywhere loses the frames that were touched and no other', () => {
    const frames = Array.from({ length: 6 }, (_, i) =>
      Buffer.from(frameBatch(batchOf(houses, [{ district: null, rooms: i, remark: `no ${i}` }]), scratch)),
    );
    const bytes = Buffer.concat(frames);
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const damaged = Buffer.from(bytes);
        damaged[bit >> 3]! ^= 1 << (bit & 7);
        const touched = frames.findIndex((_, i) => Buffer.concat(frames.slice(0, i + 1)).length > bit >> 3);
        const expected = frames.flatMap((_, i) =>
          i === touched ? [] : [{ district: null, rooms: i, remark: `no ${i}` }],
        );
        expect(rowsOf(damaged)).toEqual(expected);
        expect(scanFrames(damaged, all)).toMatchObject({
          later: undefined,
          damaged: [{ length: frames[touched]!.length }],
        });
        expect(countFrames(damaged, { until: bytes.length, isWhole: true })).toMatchObject({ rows: 5, frames: 5 });
      }),
      { numRuns: 500 },
    );
  });

  test('has a frame of its own for a record that is longer than others, and none for one longer than any may be', () => {
    const long = contractOf([
      { name: 'a', dtype: 'string', max_length: 8192 },
      { name: 'b', dtype: 'string', max_length: 8192 },
    ]);
    const texts = (length: number) => ({ a: 'a'.repeat(length), b: 'b'.repeat(length) });
    const bytes = frameBatch(batchOf(long, [texts(10), texts(400_000), texts(10)]), scratch);
    expect(scanFrames(bytes, all).batches.map(({ rows }) => rows)).toEqual([1, 1, 1]);
    expect(() => frameBatch(batchOf(long, [texts(600_000)]), scratch)).toThrow(/longer than a frame can be/);
  });

  test('counts a text as often as it occurs, so that a small frame has no large records', () => {
    const rows = Array.from({ length: 100 }, () => ({ district: null, rooms: 1, remark: 'r'.repeat(4_000) }));
    const { batches } = scanFrames(frameBatch(batchOf(houses, rows), scratch), all);
    expect(Math.max(...batches.map((batch) => batch.rows))).toBeLessThanOrEqual(4);
  });
});

describe('what a later version has written', () => {
  const laterFrame = (kind: string, payload: Buffer) => {
    const bytes = Buffer.concat([Buffer.alloc(12), payload]);
    bytes.write(kind, 'latin1');
    bytes.writeUInt32BE(payload.length, 8);
    bytes.writeUInt32BE(crc32(bytes.subarray(8), crc32(bytes.subarray(0, 4))), 4);
    return bytes;
  };
  /** With a text that is a reference of its row. */
  const referring = () => {
    const own = frameBatch(batchOf(contractOf([{ name: 't', dtype: 'string' }]), [{ t: 'x' }]), scratch);
    const payload = Buffer.concat([own.subarray(12, -1), Buffer.alloc(4), Buffer.from('x')]);
    // Behind it are the texts' bytes, their lengths, the places of the references, and the text.
    payload.writeUInt32LE(1, payload.length - 1 - 4 - 4 - 4 - 4);
    return laterFrame('RSP2', payload);
  };

  test.each([
    ['a frame of another kind', laterFrame('RSP7', Buffer.from('whatever'))],
    ['a frame with references', referring()],
    ['a header with other columns than records have', frameHeader([...makeColumns(), { name: 'own', type: 'text' }])],
  ])('is left to it: %s', (_, later) => {
    const bytes = Buffer.concat([frame(2), later, frame(3)]);
    const scan = scanFrames(bytes, all);
    expect(scan).toMatchObject({ rows: 2, damaged: [], consumed: frame(2).length });
    expect(scan.later).toEqual(later);
    expect(countFrames(bytes, { until: bytes.length, isWhole: true })).toMatchObject({
      frames: 3,
      consumed: bytes.length,
    });
  });

  test('is not taken for damage, nor damage for it', () => {
    const later = laterFrame('RSP3', Buffer.from('whatever'));
    later[13]! ^= 1;
    // One bit of the mark of a frame of numbers makes that of a later kind.
    const numbers = frame(1);
    numbers[3]! ^= 2;
    expect(numbers.toString('latin1', 0, 4)).toBe('RSP3');
    for (const damaged of [later, numbers]) {
      expect(scanFrames(Buffer.concat([damaged, frame(2)]), all)).toMatchObject({ rows: 2, later: undefined });
    }
  });
});

test('what follows a second header is another scan, as its columns are others', () => {
  const bytes = Buffer.concat([frameHeader(makeColumns()), frame(1), frameHeader(makeColumns(3)), frame(2, 3)]);
  const first = scanFrames(bytes, all);
  expect(first).toMatchObject({ rows: 1, columns: makeColumns(), later: undefined });
  expect(scanFrames(bytes.subarray(first.consumed), all)).toMatchObject({ rows: 2, columns: makeColumns(3) });
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
