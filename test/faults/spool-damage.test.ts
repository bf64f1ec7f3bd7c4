/** A spool that was damaged while its process was dead: what is intact arrives, the rest is set aside and counted. */
import { randomBytes } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { isShort } from './form.ts';
import { type Answer, houses, runLoad } from './load.ts';
import { reportFault } from './report.ts';
import { prepareService, type Service } from './service.ts';
import { compareWithStored, expectNothingLost, storedWithin } from './verification.ts';

/** A segment, as its bytes and its frames: the header, then batches of one or more records. */
interface Contents {
  bytes: Buffer;
  frames: Frame[];
}

interface Frame {
  start: number;
  end: number;
  /** Of its predictions. */
  ids: string[];
}

interface Damage {
  name: string;
  /** The segment's bytes afterwards. */
  to: (contents: Contents) => Buffer;
  /** Which frames are lost by it. */
  loses?: (contents: Contents) => Frame[];
  deadLetters: number | 'some';
  /** Other files put beside the segment. */
  beside?: Record<string, () => Buffer>;
}

/** A spool's directory, which is told by its name. */
const LEFT_BEHIND = '0e9d7a52-60a1-4c1e-8f43-5a1c2f1f7d33';
const MIDDLE = 50;
const whole = ({ bytes }: Contents) => bytes;
const middle = ({ frames }: Contents) => frames[MIDDLE]!;
/** Where things are in a frame: the kind (4 bytes), the checksum (4), the length (4), the payload. */
const IN_KIND = 1;
const IN_CHECKSUM = 5;
const IN_LENGTH = 8;
const IN_PAYLOAD = 60;

const damages: Damage[] = [
  {
    name: 'torn tail: half a frame at the end',
    to: ({ bytes, frames }) => Buffer.concat([bytes, bytes.subarray(frames.at(-1)!.start).subarray(0, 60)]),
    deadLetters: 0,
  },
  {
    name: 'torn tail: three bytes of a frame',
    to: ({ bytes, frames }) => Buffer.concat([bytes, bytes.subarray(frames.at(-1)!.start).subarray(0, 3)]),
    deadLetters: 0,
  },
  {
    name: 'zeros at the end, as a power loss leaves them',
    to: ({ bytes }) => Buffer.concat([bytes, Buffer.alloc(4096)]),
    deadLetters: 0,
  },
  ...(
    [
      ['one bit flipped in the middle', IN_PAYLOAD],
      ['one bit flipped in a checksum', IN_CHECKSUM],
      ['one bit flipped in the mark of a frame', IN_KIND],
      ['a length that is too large by one', IN_LENGTH + 3],
      ['a length that reaches beyond the file', IN_LENGTH + 1],
      ['a length of gigabytes', IN_LENGTH],
    ] as const
  ).map(([name, at]) => ({
    name,
    to: (contents: Contents) => flipBit(contents.bytes, middle(contents).start + at),
    loses: (contents: Contents) => [middle(contents)],
    deadLetters: 1,
  })),
  {
    name: 'a page of garbage in the middle',
    to: ({ bytes }) => Buffer.concat([bytes.subarray(0, 8192), randomBytes(4096), bytes.subarray(12_288)]),
    loses: ({ frames }) => frames.filter(({ start, end }) => start < 12_288 && end > 8192),
    deadLetters: 1,
  },
  {
    name: 'a page lost in the middle',
    to: ({ bytes }) => Buffer.concat([bytes.subarray(0, 8192), bytes.subarray(12_288)]),
    loses: ({ frames }) => frames.filter(({ start, end }) => start < 12_288 && end > 8192),
    deadLetters: 1,
  },
  {
    name: 'a damaged header',
    to: ({ bytes }) => flipBit(bytes, 20),
    deadLetters: 1,
  },
  {
    name: 'a missing header',
    to: ({ bytes, frames }) => bytes.subarray(frames[1]!.start),
    deadLetters: 0,
  },
  {
    name: 'cut in the middle of a frame',
    to: (contents) => contents.bytes.subarray(0, middle(contents).start + 30),
    loses: ({ frames }) => frames.slice(MIDDLE),
    deadLetters: 0,
  },
  {
    name: 'garbage, empty and foreign files beside it',
    to: whole,
    deadLetters: 'some',
    beside: {
      '000000000000.segment': () => randomBytes(100_000),
      '000000000900.segment': () => Buffer.alloc(0),
      '000000000901.segment': () => Buffer.alloc(9 * 1024 * 1024, 'x'),
      'notes.txt': () => Buffer.from('not a segment'),
    },
  },
];

let service: Service;
let saved: string;
let answers: readonly Answer[];
const cleaners: (() => Promise<void>)[] = [];

/** One spool with a few hundred records is left behind, kept, and damaged in another way for each test. */
beforeAll(async () => {
  service = await prepareService({ onTestFinished: (clean) => cleaners.push(clean) });
  await service.start();
  await service.proxy.set('refuse');
  const load = await runLoad({ url: service.server.url, connections: 4, rate: 400 }, 800);
  answers = load.answers;
  await service.kill();
  await service.proxy.set('pass');
  saved = join(service.directories.dataDir, 'saved');
  await cp(spoolRoot(), saved, { recursive: true });
});

afterAll(async () => {
  for (const clean of cleaners) await clean();
});

describe('a damaged spool', () => {
  test.for(damages)('$name', async ({ name, to, loses = () => [], deadLetters, beside = {} }) => {
    const directory = await restoreSpool();
    const segment = join(directory, (await readdir(directory)).find((file) => file.endsWith('.segment'))!);
    const bytes = await readFile(segment);
    const contents = { bytes, frames: framesOf(bytes) };
    const lost = new Set(loses(contents).flatMap(({ ids }) => ids));
    await writeFile(segment, to(contents));
    for (const [file, make] of Object.entries(beside)) await writeFile(join(directory, file), make());
    const intact = answers.filter(({ id }) => !lost.has(id));

    await service.start();
    const stored = await storedWithin(service.database, intact, 30_000);
    await eventually(async () => (await service.health()).backlog.rows === 0, 10_000);
    // Garbage is no backlog: it is being set aside until the directory goes.
    await eventually(async () => (await leftOver(directory)).length === 0, 15_000);
    const setAside = await deadLetterLines();
    const { backlog } = await service.health();
    const also = await compareWithStored(service.database, answers);
    reportFault({
      fault: `spool: ${name}`,
      load: `${answers.length} records left behind`,
      stored,
      recoverySeconds: stored.seconds,
      note: `${lost.size} records destroyed, ${setAside.length} stretches set aside`,
    });
    expectNothingLost(stored);
    expect(also.missing).toBe(lost.size);
    if (deadLetters === 'some') expect(setAside.length).toBeGreaterThan(0);
    else expect(setAside.length).toBe(deadLetters);
    expect(backlog.dead_letters).toBe(setAside.length);
    await service.kill();

    const foreign = Object.entries(beside).filter(([file]) => !file.endsWith('.segment'));
    for (const [file, make] of foreign) expect(await readFile(join(directory, file))).toEqual(make());
    expect((await readdir(spoolRoot())).includes(LEFT_BEHIND)).toBe(foreign.length > 0);

    // The damage is dealt with once, not at every start.
    if (isShort) return;
    await service.start();
    expect((await service.health()).backlog).toMatchObject({ rows: 0, dead_letters: 0 });
    expect((await deadLetterLines()).length).toBe(setAside.length);
    await service.kill();
  });
});

describe('a spool that comes back', () => {
  test.for([['before the start'], ...(isShort ? [] : [['while the service runs']])])(
    'a segment that was relayed already is put there again %s: no duplicates',
    async ([when]) => {
      await restoreSpool();
      await service.start();
      await storedWithin(service.database, answers, 30_000);
      await eventually(async () => !(await readdir(spoolRoot())).includes(LEFT_BEHIND), 15_000);
      if (when === 'before the start') await service.kill();
      await cp(join(saved, (await readdir(saved))[0]!), join(spoolRoot(), LEFT_BEHIND), { recursive: true });
      if (when === 'before the start') await service.start();
      await eventually(async () => !(await readdir(spoolRoot())).includes(LEFT_BEHIND), 30_000);
      const stored = await compareWithStored(service.database, answers);
      reportFault({
        fault: `spool: relayed segment put back ${when}`,
        load: `${answers.length} records`,
        stored,
      });
      await service.kill();
      expectNothingLost(stored);
    },
  );
});

describe('records that Postgres refuses', () => {
  test('go to the dead letters, the others arrive', async () => {
    await restoreSpool();
    await rm(spoolRoot(), { recursive: true });
    await service.database.query('truncate predictions');
    await service.database.query('alter table predictions add constraint no_poison check (crim < 1000000)');
    const { url } = await service.start();
    const loading = runLoad({ url, connections: 8 }, 1_500);
    const poisoned = 5;
    for (let i = 0; i < poisoned; i++) {
      await delay(200);
      const headers = { 'content-type': 'application/json' };
      const body = JSON.stringify({ ...houses[i]!, CRIM: 2_000_000 });
      expect((await fetch(`${url}/predict`, { method: 'POST', headers, body })).status).toBe(200);
    }
    const load = await loading;
    const stored = await storedWithin(service.database, load.answers, 30_000);
    await eventually(async () => (await service.health()).backlog.dead_letters === poisoned);
    const setAside = await deadLetterLines();
    reportFault({
      fault: 'a CHECK constraint refuses some records',
      load: '8 connections, closed loop',
      requests: load.requests(),
      failures: load.failures.length,
      stored,
      recoverySeconds: stored.seconds,
      note: `${setAside.length} of ${poisoned} refused records set aside`,
    });
    await service.kill();
    await service.database.query('alter table predictions drop constraint no_poison');
    expectNothingLost(stored);
    expect(setAside.map(({ reason }) => /no_poison/.test(reason))).toEqual(Array(poisoned).fill(true));
  });
});

function spoolRoot(): string {
  return join(service.directories.dataDir, 'spool');
}

/** Puts the spool that was left behind back, as it was, and empties the table; returns its directory. */
async function restoreSpool(): Promise<string> {
  await rm(spoolRoot(), { recursive: true, force: true });
  await mkdir(spoolRoot(), { recursive: true });
  const directory = join(spoolRoot(), LEFT_BEHIND);
  await cp(join(saved, (await readdir(saved))[0]!), directory, { recursive: true });
  await service.database.query('truncate predictions');
  return directory;
}

/** What of a spool is still there. What was put beside it by somebody else stays, and then so does the directory. */
async function leftOver(directory: string): Promise<string[]> {
  const files = await readdir(directory).catch(() => undefined);
  if (files?.length === 0) return [directory];
  return (files ?? []).filter((file) => file === 'lock' || file.endsWith('.segment'));
}

async function deadLetterLines(): Promise<{ reason: string }[]> {
  const text = await readFile(join(spoolRoot(), 'dead-letter.jsonl'), 'utf8').catch(() => '');
  const lines = text.split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as { reason: string });
}

/** Takes a segment apart by itself: 12 bytes of prefix with the length at 8; in the payload, rows at 8 and ids from 20. */
function framesOf(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let start = 0; start < bytes.length; start = frames.at(-1)!.end) {
    const payload = bytes.subarray(start + 12, start + 12 + bytes.readUInt32BE(start + 8));
    const isHeader = bytes.toString('latin1', start, start + 4) === 'RSPH';
    const ids = Array.from({ length: isHeader ? 0 : payload.readUInt32LE(8) }, (_, row) =>
      payload.toString('hex', 20 + 16 * row, 36 + 16 * row).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    );
    frames.push({ start, end: start + 12 + payload.length, ids });
  }
  return frames;
}

function flipBit(bytes: Buffer, at: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped[at]! ^= 1;
  return flipped;
}
