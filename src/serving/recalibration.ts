/**
 * Half-widths of intervals as the newest truths have them: whoever computes them appends a row for the version, servers look for
 * it from time to time. Until there is one, the errors of the training decide.
 */
import { reasonOf } from '../errors.ts';
import { type HalfWidths, levels } from '../inference/half-widths.ts';
import type { Predictor } from '../inference/predictor.ts';
import type { Log } from '../log.ts';
import type { HalfWidthsInForce } from './extras.ts';

export interface RecalibrationOptions {
  /** The version that answers. */
  current: () => Predictor | undefined;
  /** What is stored of a version, which may be anything; undefined where there is nothing. */
  read: (pipelineVersion: string) => Promise<unknown>;
  log: Pick<Log, 'warn'>;
}

export interface Recalibration {
  halfWidthsOf: HalfWidthsInForce;
  /** Looks for those of the version that answers; rejects, and leaves what is known, when the database cannot be read. */
  refresh(): Promise<void>;
}

export function createRecalibration({ current, read, log }: RecalibrationOptions): Recalibration {
  let known: { pipelineVersion: string; halfWidths: HalfWidths } | undefined;
  let complaint: string | undefined;

  function complain(pipelineVersion: string, error: unknown): void {
    const reason = reasonOf(error);
    if (reason !== complaint)
      log.warn({ pipelineVersion, reason }, 'half-widths of intervals are not usable; others serve on');
    complaint = reason;
  }

  return {
    halfWidthsOf: ({ pipelineVersion, halfWidths }) =>
      known?.pipelineVersion === pipelineVersion ? known.halfWidths : halfWidths,
    async refresh() {
      const pipelineVersion = current()?.pipelineVersion;
      if (pipelineVersion === undefined) return;
      const stored = await read(pipelineVersion);
      if (stored === undefined) return;
      try {
        known = { pipelineVersion, halfWidths: checked(stored) };
        complaint = undefined;
      } catch (error) {
        complain(pipelineVersion, error);
      }
    },
  };
}

function checked(stored: unknown): HalfWidths {
  const isWhole =
    Array.isArray(stored) &&
    stored.length === levels.length &&
    stored.every((one, i) => typeof one === 'number' && one >= (i === 0 ? 0 : stored[i - 1]));
  if (!isWhole) throw new Error(`They are not ${levels.length} numbers in ascending order`);
  return Float64Array.from(stored as number[]);
}
