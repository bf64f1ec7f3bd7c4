/** The bodies and answers of the routes for labels. */
import * as z from 'zod';
import { LARGEST_ACTUAL, labelResults, timeOfPredictionId } from '../../ground-truth/label.ts';
import { parseRfc3339 } from '../../ground-truth/rfc3339.ts';
import { problemResponses } from './problem.ts';

const PREDICTION_ID = '019a8f3c-5b1e-7c42-9d0a-3f6e2b8c4d11';
const example = { prediction_id: PREDICTION_ID, actual: 24, observed_at: '2026-11-22T10:00:00Z' };

/** As JSON Schema has it, which knows no version of a UUID. */
const UUID_V7 = '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$';

/** What one label says. How far `observed_at` may be ahead is asked of the clock, in decode-labels.ts. */
export const label = z
  .strictObject({
    prediction_id: z
      .string()
      .refine((text) => timeOfPredictionId(text) !== undefined, { error: 'Send the prediction_id of an answer.' })
      .meta({
        format: 'uuid',
        pattern: UUID_V7,
        description: 'A UUID version 7, of the answer',
        examples: [PREDICTION_ID],
      }),
    actual: z
      .number('a finite number or null')
      .min(-LARGEST_ACTUAL)
      .max(LARGEST_ACTUAL)
      .nullable()
      .meta({ description: 'What was true; null takes back what was said before', examples: [example.actual] }),
    observed_at: z
      .string()
      .refine((text) => parseRfc3339(text) !== undefined, {
        error: `Send a time of RFC 3339 with its zone, such as ${example.observed_at}.`,
      })
      .meta({
        format: 'date-time',
        description:
          'When that was observed, by default now. At most 5 minutes ahead. Of two truths the later one counts, whichever arrives first',
        examples: [example.observed_at],
      })
      .optional(),
  })
  .meta({ description: 'The truth of a prediction', examples: [example] });

export type LabelBody = z.output<typeof label>;

export function labelBatch(maxBatchRows: number) {
  return z.strictObject({ instances: z.array(label).min(1).max(maxBatchRows) }).meta({
    description: 'Labels that are stored together, or not at all',
    examples: [{ instances: [example] }],
  });
}

const RESULTS =
  'stored: the first label. unchanged: the same again. corrected: another value, observed later. superseded: observed ' +
  'before what is there. withdrawn: null. pending: the prediction has yet to arrive in Postgres, and the label waits for it. ' +
  'unknown: there is no such prediction, and nothing is stored';

const answered = z.enum(labelResults).exclude(['pending', 'unknown']);
const counts = z.strictObject(
  Object.fromEntries(labelResults.map((result) => [result, z.int()])) as Record<
    (typeof labelResults)[number],
    z.ZodInt
  >,
);

/** Of the single form, by their statuses. */
export const labelAnswers = {
  200: z
    .object({ result: answered.meta({ description: RESULTS }) })
    .meta({ description: 'What the label was', examples: answered.options.map((result) => ({ result })) }),
  202: z
    .object({ result: z.literal('pending') })
    .meta({ description: 'Kept until the prediction arrives in Postgres', examples: [{ result: 'pending' }] }),
};

export const labelBatchAnswer = z
  .object({
    results: z.array(z.enum(labelResults)).meta({ description: RESULTS }),
    counts: counts.meta({ description: 'How many of each' }),
  })
  .meta({
    description: 'What each label was, in the order of the instances',
    examples: [
      {
        results: ['stored'],
        counts: { ...{ stored: 1, unchanged: 0, corrected: 0, superseded: 0 }, withdrawn: 0, pending: 0, unknown: 0 },
      },
    ],
  });

const missing = { code: 'missing', message: 'This field is required: send a string.' };

/** What both forms can be refused with; `at` leads to a label in the body. */
export function labelProblems(at: string, bodyLimit: number) {
  return problemResponses(
    ['invalid_json', { detail: 'At line 1, column 9: a value is missing.' }],
    'predictions_not_stored',
    ['body_too_large', { detail: String(bodyLimit) }],
    'unsupported_media_type',
    ['invalid_ground_truth', { errors: [{ pointer: `${at}/prediction_id`, ...missing }] }],
    'invalid_parameters',
    'database_unavailable',
    'overloaded',
  );
}

/** Of the single form alone: in a batch it is one of the results. */
export const unknownPrediction = problemResponses(['unknown_prediction', { members: { result: 'unknown' } }]);

/** The query of the routes of labels. */
export const noParameters = z.strictObject({});
