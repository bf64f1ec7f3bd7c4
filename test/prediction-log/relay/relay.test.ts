/** Real segments, relayed to a store that fails in every way there is: each record arrives once, whatever the others do. */
import { mkdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exampleRow } from '../../../src/contract/rows.ts';
import type { Value } from '../../../src/contract/values.ts';
import { describeRecord } from '../../../src/prediction-log/postgres/describe.ts';
import { splitRecords } from '../../../src/prediction-log/postgres/tuples.ts';
import type { PredictionBatch } from '../../../src/prediction-log/prediction-batch.ts';
import { recordColumns } from '../../../src/prediction-log/record-columns.ts';
import {
  createDeadLetters,
  type DeadLetter,
  type DeadLetters,
} from '../../../src/prediction-log/relay/dead-letters.ts';
import { type Relay, startRelay } from '../../../src/prediction-log/relay/relay.ts';
import { frameBatch, frameHeader } from '../../../src/prediction-log/spool/frame-batch.ts';
import { createSegment, type Segment } from '../../../src/prediction-log/spool/segment.ts';
import { contractOf, everyType } from '../../support/declaration.ts';
import { makeDirectory } from '../../support/directory.ts';
import { eventually } from '../../support/eventually.ts';
import { createNotedLog, type NotedLog } from '../../support/noted-log.ts';
import { batchOf, idsOf, makeBatch } from '../batches.ts';
import { createFakeStore, type FakeStore, fails } from './fake-store.ts';

const columns = recordColumns({
  columns: [
    { name: 'x', type: 'double precision' },
    { name: 'n', type: 'bigint' },
  ],
});
const FRAME_PREFIX_BYTES = 12;

interface DeadLetterLine {
  reason: string;
  record: Record<string, unknown>;
  bytes?: string;
}

let root: string;
let store: FakeStore;
let deadLetters: DeadLetters;
let segments: Segment[];
let removed: string[];
let remove: (segment: Segment) => void;
let relay: Relay | undefined;
let noted: NotedLog;
let adopt: (found: () => void) => Promise<number>;

beforeEach(async () => {
  root = await makeDirectory('relay');
  store = createFakeStore();
  deadLetters = createDeadLetters(root);
  segments = [];
  removed = [];
  remove = () => undefined;
  noted = createNotedLog();
  adopt = async () => 0;
});
afterEach(async () => {
  store.meet = () => Promise.reject(fails('unavailable'));
  await relay?.close(1_000);
  rmSync(root, { recursive: true, force: true });
});

function start(): Relay {
  const own = {
    segments: () => segments,
    remove(segment: Segment) {
      remove(segment);
      removed.push(segment.path);
      segments = segments.filter((other) => other !== segment);
    },
  };
  relay = startRelay({
    sources: [own],
    adopt: (found) => adopt(found),
    store,
    deadLetters,
    assumedColumns: columns,
    log: noted.log,
  });
  return relay;
}

/** With their fields. */
const told = (beginning: string) =>
  noted.lines
    .filter(({ message }) => message.startsWith(beginning))
    .map(({ level, message, fields }) => ({ level, message, ...fields }));
const idle = () => eventually(async () => relay!.backlog().rows === 0);
const setAside = async (): Promise<DeadLetterLine[]> =>
  (await readFile(deadLetters.path, 'utf8').catch(() => ''))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** A sealed segment with frames of so many rows each; and the ids of those. */
function addSegment(
  frames: number[],
  { of = columns, change = (batch: PredictionBatch) => batch, sealed = true } = {},
) {
  const batches = frames.map((rows) => {
    const batch = makeBatch(rows, of.length - 4);
    batch.features = batch.features.map((_, i) => i);
    return change(batch);
  });
  const framed = batches.map((batch) => Buffer.from(frameBatch(batch, Buffer.alloc(0))));
  const bytes = Buffer.concat([frameHeader(of), ...framed]);
  const path = join(root, `${String(segments.length + 1).padStart(12, '0')}.segment`);
  writeFileSync(path, bytes);
  const pendingRows = frames.reduce((sum, rows) => sum + rows, 0);
  const segment = createSegment({ path, columns, writtenBytes: bytes.length, pendingRows, sealed });
  segments.push(segment);
  const ids = batches.flatMap((batch) =>
    Array.from({ length: batch.predictions.length }, (_, row) =>
      Buffer.from(batch.ids.subarray(16 * row, 16 * row + 16))
        .toString('hex')
        .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    ),
  );
  return {
    path,
    segment,
    ids,
    bytes,
    headerBytes: frameHeader(of).length,
    frameBytes: framed.map((one) => one.length),
  };
}

const expectStored = (...of: { ids: string[] }[]) =>
  expect(store.stored).toEqual(new Map(of.flatMap(({ ids }) => ids).map((id) => [id, 1])));

describe('each record arrives once', () => {
  test('oldest first, in few statements, and what is done with is removed', async () => {
    const parts = [addSegment([3, 100, 1]), addSegment([1]), addSegment([120, 5])];
    start();
    await eventually(async () => removed.length === 3);
    expectStored(...parts);
    expect([...store.stored.keys()]).toEqual(parts.flatMap(({ ids }) => ids));
    expect(store.attempts.map(({ way }) => way)).toEqual(['insert', 'insert', 'insert']);
    expect(removed).toEqual(parts.map(({ path }) => path));
    expect(relay!.backlog()).toEqual({ rows: 0, oldestAgeSeconds: null, deadLetters: 0, lastError: null, failures: 0 });
    expect(relay!.facts()).toEqual({ stored: 3, failed: 0, refused: 0 });
  });

  test('when the connection broke at the commit, so that nobody knows', async () => {
    const part = addSegment([40, 40]);
    let broken = false;
    store.meet = ({ ids }) => {
      if (broken) return;
      broken = true;
      for (const id of ids.slice(0, 50)) store.stored.set(id, 1);
      throw fails('unavailable');
    };
    start();
    await idle();
    expectStored(part);
    expect(store.attempts.map(({ way }) => way)).toEqual(['insert', 'insert', 'insertMissing']);
  });

  test('however long the database is away, and the backlog says so meanwhile', async () => {
    const part = addSegment([10]);
    store.meet = () => Promise.reject(fails('unavailable', 'nobody there'));
    start();
    await eventually(async () => relay!.backlog().failures >= 3);
    expect(relay!.backlog()).toMatchObject({
      rows: 10,
      oldestAgeSeconds: expect.any(Number),
      lastError: 'nobody there',
    });
    store.meet = () => undefined;
    await idle();
    expectStored(part);
    expect(relay!.backlog()).toMatchObject({ rows: 0, lastError: null, failures: 0 });
    expect(relay!.facts()).toEqual({ stored: 1, failed: store.attempts.length - 1, refused: 0 });
    expect(noted.messages()).toEqual([
      'predictions cannot be moved to Postgres; they wait in the spool',
      'predictions are moved to Postgres again',
    ]);
  });

  test('when what was given up is stored after all, from the memory that it was given', async () => {
    const parts = [addSegment([500]), addSegment([500])];
    const late: { records: Buffer; before: string }[] = [];
    store.meet = ({ records }) => {
      if (late.length >= 3) return;
      late.push({ records, before: records.toString('hex') });
      throw fails('slow');
    };
    start();
    await idle();
    expectStored(...parts);
    for (const { records, before } of late) expect(records.toString('hex')).toBe(before);
  });

  test('of a segment that is written to while it is relayed, without a word to the relay', async () => {
    const part = addSegment([5], { sealed: false });
    adopt = async (found) => {
      await delay(300);
      later = addSegment([7]);
      found();
      return 7;
    };
    let later: typeof part | undefined;
    start();
    await eventually(async () => store.stored.size === 12);
    expectStored(part, later!);
  });
});

describe('a database that is slow', () => {
  test('is given fewer and fewer records at once, down to one, and more again when it is quick', {
    timeout: 30_000,
  }, async () => {
    const parts = [addSegment([120, 120, 120]), addSegment([120, 120, 120, 120])];
    let most = 1;
    store.meet = ({ ids }) => {
      if (ids.length > most) throw fails('slow', 'too slow');
      if (store.stored.size > 20) most = 1_000;
    };
    start();
    await eventually(async () =>
      /too slow, with \d+ rows; next it is tried with \d+/.test(relay!.backlog().lastError ?? ''),
    );
    await eventually(async () => store.stored.size > 0);
    // What is stored is counted at once, though the frame goes on.
    expect(relay!.backlog().rows + store.stored.size).toBe(840);
    await eventually(async () => relay!.backlog().rows === 0, 20_000);
    expectStored(...parts);
    expect(store.attempts.some(({ ids }) => ids.length === 1)).toBe(true);
    expect(store.attempts.at(-1)!.ids.length).toBeGreaterThan(50);
  });

  test('makes progress though it fails in every frame: what of it is stored is not stored again', async () => {
    const part = addSegment([40]);
    let inserts = 0;
    store.meet = ({ ids }) => {
      if (ids.length > 10 || ++inserts % 10 === 0) throw fails('slow');
    };
    start();
    await idle();
    expectStored(part);
    expect(store.attempts.filter(({ way }) => way === 'insertMissing')).toEqual([]);
  });
});

describe('what is refused for its content', () => {
  test('is halved until it stands alone, and set aside with its reason; the others are stored', async () => {
    const part = addSegment([60, 60]);
    const bad = new Set([part.ids[0], part.ids[77], part.ids[119]]);
    store.meet = ({ ids }) => {
      if (ids.some((id) => bad.has(id))) throw fails('refused', 'not this one');
    };
    start();
    await idle();
    expectStored({ ids: part.ids.filter((id) => !bad.has(id)) });
    expect((await setAside()).map(({ record, reason }) => [record.id, reason])).toEqual(
      [...bad].map((id) => [id, 'not this one']),
    );
    expect(relay!.backlog()).toMatchObject({ deadLetters: 3, lastError: null });
    const { stored, refused } = relay!.facts();
    expect(stored + refused).toBe(store.attempts.length);
    // A part that is split makes two, so that there is one more of those that are not: the stored ones and the three.
    expect(stored + 3).toBe(refused - 3 + 1);
  });

  test('by another unique index is told from what is there already', async () => {
    const part = addSegment([10]);
    store.meet = ({ ids }) => {
      if (ids.includes(part.ids[4]!)) throw fails('duplicate', 'another index');
    };
    start();
    await idle();
    expectStored({ ids: part.ids.filter((id) => id !== part.ids[4]) });
    expect(await setAside()).toMatchObject([{ record: { id: part.ids[4] }, reason: 'another index' }]);
  });

  test('is set aside once, though the database goes away in the midst of it', async () => {
    const part = addSegment([8, 8]);
    let left = 20;
    store.meet = ({ ids }) => {
      if (--left === 5) throw fails('unavailable');
      if (ids.some((id) => part.ids.indexOf(id) % 3 === 0)) throw fails('refused');
    };
    start();
    await idle();
    const aside = (await setAside()).map(({ record }) => record.id);
    expect(aside).toEqual(part.ids.filter((_, i) => i % 3 === 0));
    expectStored({ ids: part.ids.filter((_, i) => i % 3 !== 0) });
  });

  test('by no column at all is set aside before it is tried', async () => {
    const part = addSegment([5], {
      change: (batch) => ({ ...batch, features: batch.features.map((value, i) => (i === 5 ? Number.NaN : value)) }),
    });
    start();
    await idle();
    expectStored({ ids: part.ids.filter((_, i) => i !== 2) });
    expect(await setAside()).toMatchObject([{ record: { id: part.ids[2], n: 'NaN' } }]);
  });

  test('waits while the file of dead letters cannot be written, and holds up nothing else', async () => {
    const part = addSegment([4]);
    const other = addSegment([4]);
    mkdirSync(deadLetters.path);
    store.meet = ({ ids }) => {
      if (ids.includes(part.ids[1]!)) throw fails('refused');
    };
    start();
    await eventually(async () => other.ids.every((id) => store.stored.has(id)));
    expect(relay!.backlog()).toMatchObject({ lastError: expect.stringContaining('cannot be set aside') });
    rmSync(deadLetters.path, { recursive: true });
    await idle();
    expectStored({ ids: part.ids.filter((_, i) => i !== 1) }, other);
    expect(await setAside()).toHaveLength(1);
  });
});

describe('a segment that fails for reasons of its own', () => {
  const others = recordColumns({ columns: [{ name: 'gone', type: 'double precision' }] });

  test('holds up no other, is told, and is stored when what it lacked is there', async () => {
    // More than fail in a row before everything pauses.
    const old = Array.from({ length: 11 }, () => addSegment([3], { of: others }));
    const fresh = addSegment([3]);
    const later = addSegment([3]);
    store.meet = ({ columns: given }) => {
      if (given.some(({ name }) => name === 'gone')) throw fails('blocked', 'no column "gone"');
    };
    start();
    await eventually(async () => [...fresh.ids, ...later.ids].every((id) => store.stored.has(id)));
    await eventually(async () => relay!.backlog().failures >= 2);
    expect(relay!.backlog()).toMatchObject({ rows: 33, lastError: 'no column "gone"' });
    store.meet = () => undefined;
    await eventually(async () => relay!.backlog().rows === 0, 20_000);
    expectStored(...old, fresh, later);
    expect(relay!.backlog()).toMatchObject({ lastError: null, failures: 0 });
    expect(told('a part of the spool cannot be moved')).toHaveLength(1);
    expect(told('every part of the spool')).toHaveLength(1);
    expect(await setAside()).toEqual([]);
  });

  test('does not make the relay sleep through what comes between two tries, however often it is told', async () => {
    addSegment([3], { of: others });
    store.meet = ({ columns: given }) => {
      if (given.some(({ name }) => name === 'gone')) throw fails('blocked', 'no column "gone"');
    };
    const { notify, backlog } = start();
    // The next try is more than a second away then.
    await eventually(async () => {
      notify();
      return backlog().failures >= 4;
    });
    await delay(120);
    const fresh = addSegment([3]);
    notify();
    await eventually(async () => fresh.ids.every((id) => store.stored.has(id)), 800);
  });

  test('as its file cannot be read is tried again, and the others go on', async () => {
    const unreadable = addSegment([3]);
    const other = addSegment([3]);
    rmSync(unreadable.path);
    mkdirSync(unreadable.path);
    start();
    await eventually(async () => store.stored.size === 3);
    expectStored(other);
    expect(relay!.backlog()).toMatchObject({ rows: 3, lastError: expect.stringContaining('EISDIR') });
    rmSync(unreadable.path, { recursive: true });
    writeFileSync(unreadable.path, unreadable.bytes);
    await idle();
    expectStored(other, unreadable);
  });

  test.each([true, false])('as its file is gone is told once, with what is lost; sealed before: %s', async (sealed) => {
    const gone = addSegment([3, 4], { sealed });
    const other = addSegment([3]);
    rmSync(gone.path);
    start();
    await eventually(async () => removed.length === 2);
    expectStored(other);
    expect(told('a file of the spool has lost')).toEqual([
      expect.objectContaining({ rows: 7, file: gone.path, level: 'error', reason: expect.stringContaining('ENOENT') }),
    ]);
    expect(gone.segment.sealed).toBe(true);
    expect(relay!.backlog()).toMatchObject({ rows: 0, lastError: null });
  });

  test('as its file was cut short gives what is left, and tells what is lost', async () => {
    const cut = addSegment([3, 4, 5]);
    const other = addSegment([3]);
    const [first] = cut.frameBytes;
    truncateSync(cut.path, cut.headerBytes + first! + 20);
    start();
    await eventually(async () => removed.length === 2);
    expectStored({ ids: cut.ids.slice(0, 3) }, other);
    expect(told('a file of the spool has lost')).toMatchObject([{ rows: 9 }]);
    expect(await setAside()).toHaveLength(1);
  });

  test.each([0, 5])('as its file was cut to %i bytes loses all of it, and is done with', async (bytes) => {
    const cut = addSegment([3]);
    truncateSync(cut.path, bytes);
    start();
    await eventually(async () => removed.length === 1);
    expect(told('a file of the spool has lost')).toMatchObject([{ rows: 3 }]);
    expect(statSync(cut.path).size).toBe(bytes);
  });

  test('as a frame is damaged loses that frame, which is set aside', async () => {
    const part = addSegment([3, 4, 5]);
    const at = part.headerBytes + part.frameBytes[0]! + FRAME_PREFIX_BYTES + 30;
    part.bytes[at] = part.bytes[at]! ^ 1;
    writeFileSync(part.path, part.bytes);
    start();
    await idle();
    expectStored({ ids: [...part.ids.slice(0, 3), ...part.ids.slice(7)] });
    expect(await setAside()).toMatchObject([{ bytes: expect.any(String), reason: 'the checksum does not fit' }]);
  });
});

describe('a segment with texts and nulls', () => {
  /** A sealed segment of these bytes. */
  function addBytes(...parts: Buffer[]): void {
    const bytes = Buffer.concat(parts);
    const path = join(root, `${String(segments.length + 1).padStart(12, '0')}.segment`);
    writeFileSync(path, bytes);
    segments.push(createSegment({ path, writtenBytes: bytes.length, pendingRows: 2, sealed: true }));
  }
  const framed = (batch: PredictionBatch) => Buffer.from(frameBatch(batch, Buffer.alloc(0)));
  const apartments = ['Wola', 'Śródmieście 🐧'].map((district) => ({
    ...(exampleRow(everyType) as Record<string, Value>),
    ...{ district, garden: null, select: null },
  }));

  test('is stored under the columns that its header names', async () => {
    const batch = batchOf(everyType, apartments);
    addBytes(frameHeader(recordColumns(everyType)), framed(batch));
    start();
    await idle();
    expectStored({ ids: idsOf(batch) });
    const [{ columns: of, records }] = store.attempts as [(typeof store.attempts)[number]];
    expect(of).toEqual(recordColumns(everyType));
    expect(splitRecords(records).map((record) => describeRecord(of, record))).toMatchObject([
      { district: 'Wola', garden: null, select: null },
      { district: 'Śródmieście 🐧', garden: null, select: null },
    ]);
  });

  test('becomes dead letters with its texts when its header is damaged, as nobody knows its columns then', async () => {
    const batch = batchOf(everyType, apartments);
    const header = frameHeader(recordColumns(everyType));
    header[20]! ^= 1;
    const plain = makeBatch(
      2,
      contractOf([
        { name: 'x', dtype: 'float64' },
        { name: 'n', dtype: 'int64' },
      ]),
    );
    addBytes(header, framed(batch), framed(plain));
    addBytes(framed(plain));
    start();
    await idle();
    // Those of the second segment have the columns that are assumed.
    expectStored({ ids: idsOf(plain) });
    const [damage, ...letters] = await setAside();
    expect(damage).toMatchObject({ reason: 'the checksum does not fit' });
    expect(letters.slice(0, 2)).toMatchObject(
      idsOf(batch).map((id) => ({ reason: expect.stringContaining('columns are not known'), record: { id } })),
    );
    expect(Object.values(letters[1]!.record.texts as object)).toContain('Śródmieście 🐧');
  });

  test('that a later version has written waits for it, told as such, and holds up no other', async () => {
    const before = batchOf(everyType, apartments);
    const later = Buffer.alloc(20);
    later.write('RSP3');
    later.writeUInt32BE(8, 8);
    later.writeUInt32BE(crc32(later.subarray(8), crc32(later.subarray(0, 4))), 4);
    addBytes(frameHeader(recordColumns(everyType)), framed(before), later);
    addBytes(frameHeader([...columns, { name: 'reference', type: 'text' }]), framed(before));
    const other = addSegment([3]);
    const { backlog } = start();
    await eventually(async () => backlog().failures >= 2);
    expectStored({ ids: idsOf(before) }, other);
    expect(backlog().lastError).toMatch(/A later version of Ridgeline has written there/);
    expect(removed).toEqual([other.path]);
    expect(await setAside()).toEqual([]);
    expect(statSync(segments[0]!.path).size).toBe(segments[0]!.writtenBytes);
  });
});

test('a long stretch of damage is set aside as one, and a frame that is longer than a piece is read', async () => {
  const part = addSegment([3, 4], {
    // Its length makes a frame of its own of each row.
    change: (batch) => ({ ...batch, pipelineVersion: 'v'.repeat(batch.predictions.length === 4 ? 300_000 : 1) }),
  });
  const damage = Buffer.alloc(700_000, 'x');
  const at = part.headerBytes + part.frameBytes[0]!;
  const bytes = Buffer.concat([part.bytes.subarray(0, at), damage, part.bytes.subarray(at)]);
  writeFileSync(part.path, bytes);
  segments = [createSegment({ path: part.path, columns, writtenBytes: bytes.length, pendingRows: 7, sealed: true })];
  const added: DeadLetter[] = [];
  const { add } = deadLetters;
  deadLetters = {
    ...deadLetters,
    add: (what, reason) => {
      added.push('bytes' in what ? { bytes: Buffer.from(what.bytes) } : what);
      return add(what, reason);
    },
  };
  start();
  await idle();
  expectStored(part);
  expect(added).toEqual([{ bytes: damage }]);
});

test('what cannot be removed is tried again now and then, and holds up nothing', async () => {
  const parts = [addSegment([3]), addSegment([3])];
  let tries = 0;
  remove = (segment) => {
    if (segment.path !== parts[0]!.path) return;
    tries++;
    throw new Error('EACCES');
  };
  start();
  await eventually(async () => removed.length === 1);
  const late = addSegment([4]);
  relay!.notify();
  await eventually(async () => store.stored.size === 10);
  expectStored(...parts, late);
  expect(tries).toBeLessThan(3);
  expect(told('files of the spool that are done with cannot be removed')).toHaveLength(1);
  expect(relay!.backlog()).toMatchObject({ failures: 0 });
});

describe('closing', () => {
  test('relays what is left', async () => {
    start();
    await delay(50);
    const part = addSegment([5], { sealed: false });
    await relay!.close(5_000);
    expectStored(part);
  });

  test('does not wait for a store that does not answer, nor for one that is away', async () => {
    addSegment([5]);
    store.meet = () => new Promise(() => undefined);
    start();
    await eventually(async () => store.attempts.length === 1);
    await relay!.close(50);
    expect(relay!.backlog().rows).toBe(5);
    store = createFakeStore();
    store.meet = () => Promise.reject(fails('unavailable'));
    const away = start();
    await away.close(60_000);
    expect(away.backlog().rows).toBe(5);
  });

  test('does not wait until one part after the other has failed again', async () => {
    for (let i = 0; i < 30; i++) addSegment([1]);
    store.meet = () => Promise.reject(fails('blocked'));
    start();
    await eventually(async () => relay!.backlog().failures >= 2);
    const tries = store.attempts.length;
    await relay!.close(60_000);
    expect(store.attempts.length - tries).toBeLessThan(20);
    expect(relay!.backlog().rows).toBe(30);
  });
});
