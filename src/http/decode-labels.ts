/**
 * Turns bodies into labels, and validates them with the one reading of the clock that the request is stored under. Faults are
 * gathered label by label up to MAX_FIELD_ERRORS, so that neither the work nor the answer grows with what was sent.
 */
import * as z from 'zod';
import type { Clock } from '../clock.ts';
import { type FieldError, MAX_FIELD_ERRORS, type RidgelineError } from '../errors.ts';
import { FURTHEST_AHEAD_MS, type Label } from '../ground-truth/label.ts';
import { parseRfc3339 } from '../ground-truth/rfc3339.ts';
import { faultsOf, invalid } from './schema-faults.ts';
import { type LabelBody, label } from './schemas/ground-truth.ts';

/** What a request has brought, and when. */
export interface SentLabels {
  labels: Label[];
  now: Date;
}

/** What Fastify expects of a validator: `value` replaces the body, which is undefined where there is none. */
export type LabelDecoder = (body: unknown) => { value: SentLabels } | { error: RidgelineError };

/** Of a body that is one label. */
export function createLabelDecoder(clock: Clock): LabelDecoder {
  return (body = {}) => {
    const now = clock.now();
    return decodeAll([body], () => '', now);
  };
}

/** Of a body with one to `maxBatchRows` labels as its `instances`. */
export function createLabelBatchDecoder(clock: Clock, maxBatchRows: number): LabelDecoder {
  const envelope = z.strictObject({ instances: z.array(z.unknown()).min(1).max(maxBatchRows) });
  return (body = {}) => {
    const now = clock.now();
    const faults = faultsOf(envelope, body, '', ['instances']);
    if (faults.length > 0) return { error: invalid('invalid_ground_truth', faults) };
    return decodeAll((body as z.output<typeof envelope>).instances, (place) => `/instances/${place}`, now);
  };
}

function decodeAll(
  bodies: readonly unknown[],
  pointerTo: (place: number) => string,
  now: Date,
): ReturnType<LabelDecoder> {
  const labels: Label[] = [];
  const faults: FieldError[] = [];
  for (let i = 0; i < bodies.length && faults.length <= MAX_FIELD_ERRORS; i++) {
    const found = faultsOf(label, bodies[i], pointerTo(i), names);
    if (found.length > 0) faults.push(...found);
    else {
      const one = toLabel(bodies[i] as LabelBody);
      if (isAhead(one, now)) faults.push({ pointer: `${pointerTo(i)}/observed_at`, ...ahead(now) });
      labels.push(one);
    }
  }
  if (faults.length > 0) return { error: invalid('invalid_ground_truth', faults, bodies.length) };
  return { value: { labels, now } };
}

const names = Object.keys(label.shape);

function toLabel({ prediction_id, actual, observed_at }: LabelBody): Label {
  return {
    // A UUID in capitals is the same one.
    predictionId: prediction_id.toLowerCase(),
    actual,
    observedAt: observed_at === undefined ? undefined : parseRfc3339(observed_at),
  };
}

function isAhead({ observedAt }: Label, now: Date): boolean {
  return observedAt !== undefined && observedAt.getTime() - now.getTime() > FURTHEST_AHEAD_MS;
}

const ahead = (now: Date) => ({
  code: 'out_of_range',
  message: `Send a time that is at most 5 minutes ahead: here it is ${now.toISOString()}.`,
});
