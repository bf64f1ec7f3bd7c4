/** Where predictions end up, as the relay sees it; `postgres/` has the real one. */
import type { Column } from '../feature-schema.ts';

export interface PredictionStore {
  /**
   * Adds all records or none, and gives up after `withinMs`. They are tuples of the binary COPY format with these
   * columns; without any it is tried whether records would be taken.
   */
  insert(columns: readonly Column[], records: Buffer, withinMs?: number): Promise<void>;
  /** Adds the records whose primary key is not there yet, all of them or none. */
  insertMissing(columns: readonly Column[], records: Buffer, withinMs?: number): Promise<void>;
  /** Why an insert failed: a key is there already, the content was refused, or something that may pass. */
  failureOf(error: unknown): 'duplicate' | 'refused' | 'unavailable';
}

/** Whether other records may be taken while these are not. */
export function blamesContent(failure: ReturnType<PredictionStore['failureOf']>): boolean {
  return failure === 'refused' || failure === 'duplicate';
}

/**
 * Adds records of which some may be there already: those of an insert whose outcome is unknown, or of a write to the
 * spool that was called failed and is relayed all the same.
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
