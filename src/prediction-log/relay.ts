/**
 * Moves spooled records to Postgres, each exactly once, oldest first, in batches of bounded memory.
 *
 *     idle -> (notify) -> gathering -> reading a stretch -> storing it -> the next stretch ... -> idle
 *                                          ^                  `-> Postgres away: pausing, longer each time -+
 *                                          +----------------------------------------------------------------+
 *
 * A batch whose outcome is unknown, because the connection broke at the commit, is simply stored again: the second
 * attempt fails on the primary key, and then only the missing rows are added. A batch that Postgres refuses for its
 * content is halved until the refused records stand alone; they go to the dead-letter file and the others go on.
 */
import { open } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { reasonOf } from '../errors.ts';
import { describeRecord, encodeRecords, type RecordColumn, splitRecords } from './copy-records.ts';
import { createDeadLetters, type DeadLetter } from './dead-letters.ts';
import { readStretch } from './segment.ts';
import { adoptOrphans, type OrphanedSpool, type Segment, type Spool } from './spool.ts';

/** Where predictions end up. */
export interface PredictionStore {
  /** Adds all records or none. */
  insert(columns: readonly RecordColumn[], records: Buffer): Promise<void>;
  /** Adds the records whose primary key is not there yet, all of them or none. */
  insertMissing(columns: readonly RecordColumn[], records: Buffer): Promise<void>;
  /** Why an insert failed: a key is there already, the content was refused, or something that may pass. */
  failureOf(error: unknown): 'duplicate' | 'refused' | 'unavailable';
}

export interface RelayOptions {
  spool: Spool;
  /** The directory of all spools, in which those of dead processes are found. */
  root: string;
  columns: readonly RecordColumn[];
  store: PredictionStore;
  log: Record<'info' | 'warn' | 'error', (fields: object, message: string) => void>;
}

export interface Backlog {
  /** Answered predictions that are not in Postgres yet. */
  rows: number;
  /** Since the oldest of them was answered. */
  oldestAgeSeconds: number;
  /** Records set aside since the start. */
  deadLetters: number;
}

export interface Relay {
  /** Says that records have been appended. */
  notify(): void;
  backlog(): Backlog;
  /** Relays what is left, as long as Postgres takes it and `withinMs` lasts. The rest stays in the spool. */
  close(withinMs: number): Promise<void>;
}

/** What a stretch of a segment becomes. */
interface EncodedStretch {
  /** One after another, as Postgres takes them. */
  records: Buffer;
  rows: number;
  damaged: Buffer[];
  consumed: number;
  newestAt: number;
}

const BATCH_ROWS = 10_000;
const PIECE_ROWS = 500;
/** To encode records may hold requests up for so long at a time. */
const LONGEST_TURN_MS = 0.5;
const NO_BYTES = Buffer.alloc(0);
/** Room for a batch of records and more than one frame. */
const READ_BYTES = 4 * 1024 * 1024;
/** Room for a batch as records of a dozen features; one that needs more gets memory of its own. */
const RECORDS_BYTES = 3 * 1024 * 1024;
/** Records gather this long, so that a trickle becomes one statement for many rows. */
const GATHER_MS = 100;
const FIRST_PAUSE_MS = 200;
/** Bounds how late it is noticed that Postgres is back. */
const LONGEST_PAUSE_MS = 5_000;
/** How often spools of dead processes, such as another worker's, are looked for. */
const ADOPTION_MS = 10_000;

export function startRelay({ spool, root, columns, store, log }: RelayOptions): Relay {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  let scratch = Buffer.allocUnsafe(RECORDS_BYTES);
  const deadLetters = createDeadLetters(root);
  let orphans: OrphanedSpool[] = [];
  let adoptionDue = 0;
  let failing = false;
  let closing = false;
  let wakeIdle: (() => void) | undefined;
  let interruptSleep: (() => void) | undefined;

  const running = run();

  async function run(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    while (true) {
      try {
        const moved = await relayNext();
        setFailing(false);
        pause = FIRST_PAUSE_MS;
        if (moved === 0) {
          if (closing) return;
          await idle();
        } else if (moved < BATCH_ROWS && !closing && !pendingSegments().some(({ sealed }) => sealed)) {
          await sleep(GATHER_MS);
        }
      } catch (error) {
        setFailing(true, error);
        if (closing) return;
        // A connection that was given up may still send what lies in the old one.
        scratch = Buffer.allocUnsafe(RECORDS_BYTES);
        // Jitter keeps many servers from returning to the database in the same instant.
        await sleep(pause * (0.75 + Math.random() / 2));
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  /** Stores the oldest stretch and returns how many records it held; 0 when nothing waits. */
  async function relayNext(): Promise<number> {
    if (Date.now() >= adoptionDue) await adopt();
    const segment = pendingSegments()[0];
    const moved = segment ? await relayStretch(segment) : 0;
    await removeFinished();
    return moved;
  }

  function allSegments(): Segment[] {
    return [...orphans.flatMap(({ segments }) => segments), ...spool.segments()];
  }

  function pendingSegments(): Segment[] {
    return allSegments().filter(({ relayedBytes, writtenBytes }) => relayedBytes < writtenBytes);
  }

  async function removeFinished(): Promise<void> {
    const finished = ({ sealed, relayedBytes, writtenBytes }: Segment) => sealed && relayedBytes >= writtenBytes;
    for (const segment of spool.segments().filter(finished)) spool.remove(segment);
    const relayed = orphans.filter(({ segments }) => segments.every(finished));
    orphans = orphans.filter((orphan) => !relayed.includes(orphan));
    for (const orphan of relayed) await orphan.finish();
  }

  async function adopt(): Promise<void> {
    adoptionDue = Date.now() + ADOPTION_MS;
    for (const orphan of await adoptOrphans(root, columns)) {
      const rows = orphan.segments.reduce((sum, { pendingRows }) => sum + pendingRows, 0);
      if (rows > 0)
        log.info(
          { rows },
          'an earlier process has left its spool; what Postgres lacks of these predictions is relayed',
        );
      orphans.push(orphan);
    }
  }

  async function relayStretch(segment: Segment): Promise<number> {
    // Before the file is read: what is written meanwhile comes next.
    const available = segment.writtenBytes - segment.relayedBytes;
    const bytes = await readBytes(segment, Math.min(READ_BYTES, available));
    const { records, rows, damaged, consumed, newestAt } = await encodeStretch(segment, bytes, available);
    await storeRecords(segment.columns, records);
    for (const part of damaged) setAside({ bytes: part.toString('base64') }, 'the checksum does not fit');
    segment.relayedBytes += consumed;
    const isThrough = segment.relayedBytes >= segment.writtenBytes;
    segment.pendingRows = isThrough ? 0 : Math.max(0, segment.pendingRows - rows);
    segment.oldestAt = newestAt;
    return rows + damaged.length;
  }

  /** The bytes that come next, fewer than `length` where the file ends, in memory that the next call overwrites. */
  async function readBytes({ path, relayedBytes }: Segment, length: number): Promise<Buffer> {
    const file = await open(path, 'r');
    try {
      const { bytesRead } = await file.read(buffer, 0, length, relayedBytes);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  /**
   * The records of BATCH_ROWS rows, or of as many as `scratch` has room for, from the first of `available` bytes. They
   * are made in pieces, with the loop let through between them: ten thousand rows that were answered one by one take 7
   * ms. What a piece was read into is not kept until it is stored: thousands of objects would grow old with every COPY.
   */
  async function encodeStretch(segment: Segment, bytes: Buffer, available: number): Promise<EncodedStretch> {
    const isWhole = bytes.length === available || bytes.length < READ_BYTES;
    const stretch: EncodedStretch = {
      records: NO_BYTES,
      rows: 0,
      damaged: [],
      consumed: 0,
      newestAt: segment.oldestAt,
    };
    let turnEndsAt = performance.now() + LONGEST_TURN_MS;
    while (stretch.rows < BATCH_ROWS && addPiece(stretch, segment, bytes, isWhole)) {
      if (performance.now() < turnEndsAt) continue;
      await nextTurn();
      turnEndsAt = performance.now() + LONGEST_TURN_MS;
    }
    // The file was cut short: what was there is lost, and must not be looked for for ever.
    if (bytes.length === 0) stretch.consumed = available;
    return stretch;
  }

  /** False when nothing more can be read, or has room. */
  function addPiece(stretch: EncodedStretch, segment: Segment, bytes: Buffer, isWhole: boolean): boolean {
    const piece = readStretch(bytes.subarray(stretch.consumed), { maxRows: PIECE_ROWS, isWhole });
    if (piece.columns) segment.columns = piece.columns;
    const used = stretch.records.length;
    const records = encodeRecords(piece.batches, segment.columns, scratch.subarray(used));
    // Then they are in memory of their own, and either all that is stored now or left for the next time.
    const fits = records.buffer === scratch.buffer;
    if (!fits && used > 0) return false;
    stretch.records = fits ? scratch.subarray(0, used + records.length) : records;
    stretch.rows += piece.rows;
    stretch.damaged.push(...piece.damaged);
    stretch.consumed += piece.consumed;
    stretch.newestAt = piece.batches.at(-1)?.createdAt ?? stretch.newestAt;
    return fits && piece.consumed > 0;
  }

  async function storeRecords(recordColumns: readonly RecordColumn[], records: Buffer): Promise<void> {
    if (records.length === 0) return;
    try {
      await store.insert(recordColumns, records).catch(async (error: unknown) => {
        if (store.failureOf(error) !== 'duplicate') throw error;
        await store.insertMissing(recordColumns, records);
      });
    } catch (error) {
      if (store.failureOf(error) !== 'refused') throw error;
      const single = splitRecords(records);
      if (single.length === 1) return setAside({ record: describeRecord(recordColumns, records) }, reasonOf(error));
      const middle = single.slice(0, single.length >> 1).reduce((sum, { length }) => sum + length, 0);
      await storeRecords(recordColumns, records.subarray(0, middle));
      await storeRecords(recordColumns, records.subarray(middle));
    }
  }

  function setAside(what: DeadLetter, reason: string): void {
    deadLetters.add(what, reason);
    log.error({ reason, file: deadLetters.path }, 'a prediction record cannot be stored and is set aside');
  }

  function setFailing(now: boolean, error?: unknown): void {
    if (now === failing) return;
    failing = now;
    if (now) log.warn({ reason: reasonOf(error) }, 'predictions cannot be moved to Postgres; they wait in the spool');
    else log.info({}, 'predictions are moved to Postgres again');
  }

  function idle(): Promise<void> {
    const asleep = sleep(Math.max(0, adoptionDue - Date.now()));
    wakeIdle = interruptSleep;
    return asleep;
  }

  function sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        wakeIdle = undefined;
        interruptSleep = undefined;
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      interruptSleep = end;
    });
  }

  return {
    notify() {
      if (!wakeIdle) return;
      setTimeout(wakeIdle, GATHER_MS);
      wakeIdle = undefined;
    },
    backlog() {
      const pending = pendingSegments().filter(({ pendingRows }) => pendingRows > 0);
      const oldestAt = Math.min(...pending.map((segment) => segment.oldestAt));
      return {
        rows: pending.reduce((sum, { pendingRows }) => sum + pendingRows, 0),
        oldestAgeSeconds: pending.length > 0 ? Math.max(0, (Date.now() - oldestAt) / 1000) : 0,
        deadLetters: deadLetters.count(),
      };
    },
    async close(withinMs) {
      closing = true;
      interruptSleep?.();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, withinMs);
      });
      await Promise.race([running, late]);
      clearTimeout(timer);
    },
  };
}
