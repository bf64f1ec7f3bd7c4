/**
 * Rejections on their way into the table. A version is often rejected while the database cannot be written, or by a
 * server without the right to write: what cannot be recorded now waits here and holds up nothing.
 */
import type { Clock } from '../clock.ts';
import type { Queryable } from '../database/pool.ts';
import { createOutage, type OutageOptions } from '../outage.ts';
import { within } from '../within.ts';
import { markRejected } from './pipeline-versions.ts';

export interface RejectionRecorder {
  /** Notes that a version is rejected; the first reason counts. */
  add(pipelineVersion: string, reason: string): void;
  /** Records what is waiting. Resolves when that is done, has failed, or takes too long to be waited for. */
  record(): Promise<void>;
}

/** Rejections that wait; the reasons of further ones are in the log alone. */
const MAX_WAITING = 100;
/** Longer than the statement takes, unless somebody holds a lock on the row. */
const RECORDING_MS = 1_000;

export interface RejectionRecorderOptions {
  database: Queryable;
  clock: Clock;
  log: OutageOptions['log'];
}

export function createRejectionRecorder({ database, clock, log }: RejectionRecorderOptions): RejectionRecorder {
  const waiting = new Map<string, string>();
  let recording: Promise<void> | undefined;
  const outage = createOutage({
    log,
    level: 'warn',
    begins: 'a rejection cannot be recorded yet; it is tried again',
    ends: 'rejections are recorded again',
  });

  async function recordAll(): Promise<void> {
    try {
      for (const [pipelineVersion, reason] of waiting) {
        await markRejected(database, pipelineVersion, { reason, now: clock.now() });
        waiting.delete(pipelineVersion);
      }
      outage.end();
    } catch (error) {
      outage.begin(error);
    } finally {
      recording = undefined;
    }
  }

  return {
    add(pipelineVersion, reason) {
      if (!waiting.has(pipelineVersion) && waiting.size < MAX_WAITING) waiting.set(pipelineVersion, reason);
    },
    async record() {
      if (waiting.size === 0) return;
      recording ??= recordAll();
      await within(RECORDING_MS, recording, () => undefined);
    },
  };
}
