/**
 * Spools that dead processes have left, in any number and of any size, taken over in bounded memory while the service
 * answers and the relay stores what has been counted already.
 *
 *     found -> locked -> its segments counted, one after another: each can be relayed from then on -> relayed -> removed
 *                    `-> nothing of ours, or nothing that can be read now: let go of, looked at again in the next pass
 *
 * What cannot be read holds up nothing else: it is logged once and tried again in every pass. Only what the service has
 * made is taken and removed (spool-directory.ts): the content of a file has to prove it.
 */
import { opendir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { reasonOf } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { countSegment, type SegmentCount } from './count-segment.ts';
import { createSegment, type Segment, sinceStart } from './segment.ts';
import { isGone, isSpoolName, type Lock, listSpool, lockDirectory, removeSpool } from './spool-directory.ts';

export interface Orphans {
  /**
   * Goes through all spools once and takes over those whose processes are gone, as many as it may hold at a time.
   * Their segments come sealed. `found` is called for each that can be relayed from now on. Resolves with the rows that
   * were found when the pass is over; a call during a pass gets that one's. Never rejects.
   */
  adopt(found?: () => void): Promise<number>;
  /** The segments that were taken over and not removed yet. */
  segments(): readonly Segment[];
  /** Removes a segment whose records have all been relayed, and with the last of them its directory. */
  remove(segment: Segment): Promise<void>;
  /** By path, why something could not be taken over in the last pass. */
  obstacles(): ReadonlyMap<string, string>;
  /** Ends a pass and frees what is held, for the next process. */
  close(): Promise<void>;
}

export interface OrphansOptions {
  /** The directory of all spools. */
  root: string;
  /** Whether a directory is this process's own, whoever has removed its lock. */
  isOwn?: (directory: string) => boolean;
  log: Pick<Log, 'info' | 'warn'>;
}

/** Of each the lock is open. Further ones have their turn when these are relayed. */
const MOST_DIRECTORIES = 64;
/** The relay goes through all for each one, so thousands of small ones would cost more than their records. */
const MOST_SEGMENTS = 1_000;

/** Remembered and told; beyond that it is the whole directory that needs somebody. */
const MOST_OBSTACLES = 1_000;
/** In a line of the log. */
const MOST_NAMED = 10;
const OBSTACLE =
  'a part of the spool cannot be taken over; make it readable for the service, or move it away; it is tried again and again';
const FOREIGN =
  'a spool that an earlier process has left is relayed; its directory stays, as it holds what is not of the spool';

interface Adopted {
  /** Of the segments that were taken over and are not removed yet. */
  paths: Set<string>;
  /** Whether one of its files has been seen to be ours. */
  isProven: boolean;
  /** Whether the pass is here now: then more of it may follow. */
  isCounting: boolean;
  lock: Lock;
}

/** Does the work, or notes why it cannot be done. */
type Attempt = <Result>(path: string, work: () => Promise<Result>) => Promise<Result | undefined>;

export function createOrphans({ root, isOwn = () => false, log }: OrphansOptions): Orphans {
  /** By directory. */
  const adopted = new Map<string, Adopted>();
  let segments: Segment[] = [];
  let obstacles = new Map<string, string>();
  let pass: Promise<number> | undefined;
  let isClosing = false;
  /** Whether the pass has left something that it had no room for. */
  let hasMore = false;
  let tell: () => void = () => undefined;

  function adopt(found: () => void): Promise<number> {
    tell = found;
    pass ??= goThrough(found).finally(() => {
      pass = undefined;
    });
    return pass;
  }

  async function goThrough(found: () => void): Promise<number> {
    const met = new Map<string, string>();
    const attempt: Attempt = async (path, work) => {
      try {
        return await work();
      } catch (error) {
        if (isGone(error)) return undefined;
        if (met.size >= MOST_OBSTACLES) return undefined;
        const reason = reasonOf(error);
        met.set(path, reason);
        if (!obstacles.has(path)) log.warn({ path, reason }, OBSTACLE);
        return undefined;
      }
    };
    let rows = 0;
    hasMore = false;
    await attempt(root, async () => {
      // One entry after another, as there may be any number of them.
      for await (const entry of await opendir(root)) {
        if (isClosing) break;
        if (!entry.isDirectory() || !isSpoolName(entry.name)) continue;
        const directory = join(root, entry.name);
        if (isOwn(directory)) continue;
        rows += (await attempt(directory, () => takeOver(directory, attempt, found))) ?? 0;
      }
    });
    obstacles = met;
    return rows;
  }

  /** Returns the rows that came with it. */
  async function takeOver(directory: string, attempt: Attempt, found: () => void): Promise<number> {
    const held = adopted.get(directory) ?? (await lockOrphan(directory));
    if (!held) return 0;
    let rows = 0;
    const add = ({ path, pendingRows, writtenBytes, modifiedMs }: SegmentCount) => {
      const oldestAt = sinceStart(modifiedMs);
      const segment = createSegment({ path, writtenBytes, pendingRows, sealed: true, oldestAt });
      held.paths.add(path);
      segments.push(segment);
      rows += pendingRows;
      found();
    };
    const unproven: SegmentCount[] = [];
    held.isCounting = true;
    for (const path of (await attempt(directory, () => listSpool(directory)))?.segments ?? []) {
      if (held.paths.has(path)) continue;
      if (isClosing || hasNoRoom()) break;
      const counted = await attempt(path, () => countSegment(path));
      if (!counted) continue;
      held.isProven ||= counted.isProof;
      if (counted.isProof || counted.writtenBytes === 0) add(counted);
      else unproven.push(counted);
    }
    for (const counted of unproven) {
      if (held.isProven) add(counted);
      else await attempt(counted.path, () => Promise.reject(new Error('it holds nothing that this service wrote')));
    }
    held.isCounting = false;
    if (held.paths.size === 0 && !isClosing) await attempt(directory, () => finish(directory));
    return rows;
  }

  /** Notes that what is left has its turn later. */
  function hasNoRoom(): boolean {
    const isFull = segments.length >= MOST_SEGMENTS;
    hasMore ||= isFull;
    return isFull;
  }

  /** Undefined when the directory is not an orphan's, or not yet. */
  async function lockOrphan(directory: string): Promise<Adopted | undefined> {
    hasMore ||= adopted.size >= MOST_DIRECTORIES;
    if (adopted.size >= MOST_DIRECTORIES || hasNoRoom()) return undefined;
    const before = await listSpool(directory);
    if (before.segments.length === 0 && before.foreign.length > 0) return undefined;
    const lock = lockDirectory(directory);
    if (!lock) return undefined;
    const held = { paths: new Set<string>(), isProven: false, isCounting: false, lock };
    adopted.set(directory, held);
    return held;
  }

  /** Frees a directory, and removes it when nothing is left in it. */
  async function finish(directory: string): Promise<void> {
    const { lock } = adopted.get(directory)!;
    adopted.delete(directory);
    try {
      const files = await removeSpool(directory);
      if (files.length > 0) log.info({ directory, files: files.slice(0, MOST_NAMED) }, FOREIGN);
    } finally {
      lock.release();
    }
  }

  return {
    adopt: (found = () => undefined) => adopt(found),
    segments: () => segments,
    async remove(segment) {
      const directory = dirname(segment.path);
      await unlink(segment.path).catch((error: unknown) => {
        if (!isGone(error)) throw error;
      });
      segments = segments.filter((other) => other !== segment);
      const held = adopted.get(directory);
      if (!held) return;
      held.paths.delete(segment.path);
      // The next pass removes what cannot be removed now.
      if (held.paths.size === 0 && !held.isCounting) await finish(directory).catch(() => undefined);
      const isHalfEmpty = adopted.size <= MOST_DIRECTORIES / 2 && segments.length <= MOST_SEGMENTS / 2;
      if (hasMore && isHalfEmpty) void adopt(tell);
    },
    obstacles: () => obstacles,
    async close() {
      isClosing = true;
      await pass;
      for (const { lock } of adopted.values()) lock.release();
      adopted.clear();
      segments = [];
    },
  };
}
