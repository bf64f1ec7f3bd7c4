/** Where segments come from, and how finished ones are removed. */
import { createOutage, type OutageOptions } from '../../outage.ts';
import { isFinished, type Segment } from '../spool/segment.ts';

/** This process's spool, or what dead ones have left. */
export interface SegmentSource {
  /** Oldest first. */
  segments(): readonly Segment[];
  /** Removes a finished segment. */
  remove(segment: Segment): void | Promise<void>;
}

export interface Sources {
  /** Of all sources, one after another. */
  segments(): Segment[];
  /** Those that cannot be removed are tried again later, and keep no other from being removed. */
  removeFinished(): Promise<void>;
}

const PAUSE_MS = 5_000;

export function createSources(sources: readonly SegmentSource[], log: OutageOptions['log']): Sources {
  const outage = createOutage({
    log,
    level: 'warn',
    begins: 'files of the spool that are done with cannot be removed; it is tried again',
    ends: 'files of the spool can be removed again',
  });
  const stuck = new Map<Segment, { dueAt: number }>();

  async function remove(source: SegmentSource, segment: Segment): Promise<void> {
    try {
      await source.remove(segment);
      stuck.delete(segment);
      if (stuck.size === 0) outage.end();
    } catch (error) {
      stuck.set(segment, { dueAt: performance.now() + PAUSE_MS });
      outage.begin(error);
    }
  }

  return {
    segments: () => sources.flatMap((source) => source.segments()),
    async removeFinished() {
      for (const source of sources) {
        for (const segment of source.segments().filter(isFinished)) {
          if (performance.now() >= (stuck.get(segment)?.dueAt ?? 0)) await remove(source, segment);
        }
      }
    },
  };
}
