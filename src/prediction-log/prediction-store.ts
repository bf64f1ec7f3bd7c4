/** Where predictions end up, as the relay sees it; `postgres/` has the real one. */
import type { Column } from '../contract/contract.ts';

/** Why an insert failed, by what is to be done next. */
export type Failure =
  /** A key is there already. */
  | 'duplicate'
  /** Because of the content: to try again cannot help. */
  | 'refused'
  /** It took too long: fewer records may be quick enough. */
  | 'slow'
  /** Until somebody mends the table, the rights or a disk. Other records may be stored meanwhile. */
  | 'blocked'
  /** The database is away for a time, for all records. */
  | 'unavailable';

export interface PredictionStore {
  /**
   * Adds all records or none, and gives up after `withinMs`. They are tuples of the binary COPY format with these
   * columns.
   */
  insert(columns: readonly Column[], records: Buffer, withinMs?: number): Promise<void>;
  /** Adds the records whose primary key is not there yet, all of them or none. */
  insertMissing(columns: readonly Column[], records: Buffer, withinMs?: number): Promise<void>;
  /** Does what `insert` does and takes it back: whether it would fail. */
  rehearse(columns: readonly Column[], records: Buffer, withinMs?: number): Promise<void>;
  /** What it does not know is `unavailable`. */
  failureOf(error: unknown): Failure;
}

/** Whether other records may be taken while these are not. */
export function blamesContent(failure: Failure): boolean {
  return failure === 'refused' || failure === 'duplicate';
}

/**
 * Adds records of which some may be there already: those of an insert whose outcome is unknown, or of a write to the
 * spool that was called failed and is relayed all the same. When it fails as a duplicate, another unique index than the
 * primary key has refused the content.
 */
export async function insertIdempotently(
  store: PredictionStore,
  columns: readonly Column[],
  records: Buffer,
  withinMs?: number,
): Promise<void> {
  try {
    await store.insert(columns, records, withinMs);
  } catch (error) {
    if (store.failureOf(error) !== 'duplicate') throw error;
    await store.insertMissing(columns, records, withinMs);
  }
}
