/**
 * One file of a spool, and how far it has been written and relayed. The state changes here alone: the spool says what it
 * has appended, the relay what it has stored.
 *
 *     open (appended to) -> sealed (full, or a write failed) -> finished (all of it relayed) -> removed by its owner
 */
import type { Column } from '../../contract/contract.ts';

export interface Segment {
  readonly path: string;
  /** What may be read: frames that were written in full. */
  readonly writtenBytes: number;
  readonly relayedBytes: number;
  /** The columns of its records, as soon as its header is known. */
  readonly columns: readonly Column[] | undefined;
  /** Records between `relayedBytes` and `writtenBytes`. */
  readonly pendingRows: number;
  /** Nothing will be appended any more. */
  readonly sealed: boolean;
  /**
   * When its oldest pending record was appended, in milliseconds on the clock of `performance.now()`: below 0 before this
   * process began. The wall clock may be set while records wait.
   */
  readonly oldestAt: number;
  /** `at` is on the clock of `performance.now()`. */
  appended(what: { bytes: number; rows: number; at: number }): void;
  seal(): void;
  relayed(what: Relayed): void;
}

/** What of a segment has been stored. */
export interface Relayed {
  bytes: number;
  rows: number;
  /** When the last of the rows was answered, in milliseconds since 1970; undefined without rows. */
  newestAt: number | undefined;
  /** Those of its header, if that has been read. */
  columns?: readonly Column[] | undefined;
}

export interface SegmentOptions {
  path: string;
  columns?: readonly Column[];
  writtenBytes: number;
  pendingRows?: number;
  oldestAt?: number;
  sealed?: boolean;
}

export function createSegment(options: SegmentOptions): Segment {
  const state = { relayedBytes: 0, pendingRows: 0, oldestAt: 0, sealed: false, ...options, columns: options.columns };
  let newestAt = performance.now();
  return Object.assign(state, {
    appended({ bytes, rows, at }: { bytes: number; rows: number; at: number }) {
      newestAt = at;
      if (state.pendingRows === 0) state.oldestAt = at;
      state.pendingRows += rows;
      state.writtenBytes += bytes;
    },
    seal() {
      state.sealed = true;
    },
    relayed({ bytes, rows, newestAt: relayedTo, columns }: Relayed) {
      state.columns ??= columns;
      state.relayedBytes += bytes;
      // What a crash or damage took away was counted, but cannot be read.
      state.pendingRows = hasPending(state) ? Math.max(0, state.pendingRows - rows) : 0;
      // The records have the wall clock's time; one that was set meanwhile must not make them older than the segment.
      if (relayedTo !== undefined) state.oldestAt = Math.min(newestAt, Math.max(state.oldestAt, sinceStart(relayedTo)));
    },
  });
}

/** A time in milliseconds since 1970 on the clock of `performance.now()`; one that is yet to come is now. */
export function sinceStart(wallMs: number): number {
  return performance.now() - Math.max(0, Date.now() - wallMs);
}

export function hasPending({ relayedBytes, writtenBytes }: Pick<Segment, 'relayedBytes' | 'writtenBytes'>): boolean {
  return relayedBytes < writtenBytes;
}

export function isFinished(segment: Segment): boolean {
  return segment.sealed && !hasPending(segment);
}
