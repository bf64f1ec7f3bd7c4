/** The queries and answers of the routes of monitoring. */
import * as z from 'zod';

export const USUAL_DAYS = 7;
const MOST_DAYS = 90;

export const qualityQuery = z.strictObject({
  days: z
    .string()
    .refine((text) => /^\d{1,2}$/.test(text) && Number(text) >= 1 && Number(text) <= MOST_DAYS, {
      error: `Send a whole number from 1 to ${MOST_DAYS}.`,
    })
    .meta({
      ...{ type: 'integer', minimum: 1, maximum: MOST_DAYS, default: USUAL_DAYS },
      description: 'Days (UTC) of the predictions, today among them',
    })
    .optional(),
});

const measure = z.number().nullable();
const day = z.iso.date().meta({ examples: ['2026-11-22'] });
const time = z.iso.datetime().nullable();

const daily = z.object({
  day,
  mature: z.boolean().meta({ description: 'Nearly all labels that will come have come' }),
  labels: z.int(),
  predictions: z.int().nullable(),
  ...{ rmse: measure, mae: measure, bias: measure },
  label_delay_p50_seconds: measure.meta({ description: 'From a prediction to the arrival of its truth' }),
  label_delay_p95_seconds: measure,
});

const versionQuality = z.object({
  version: z.string().meta({ examples: ['2026_11_22__17_57_15'] }),
  role: z.enum(['champion', 'challenger', 'retired', 'rejected']),
  status: z.enum(['ok', 'not_enough_labels']).meta({ description: 'With fewer than 30 labels every measure is null' }),
  labels: z.int(),
  predictions: z.int().nullable().meta({ description: 'In hours that are over; null where none has been counted' }),
  label_share: measure,
  rmse: measure.meta({ description: "In the target's unit" }),
  rmse_lower: measure.meta({ description: 'With rmse_upper an interval in which it is in 95 of 100 cases' }),
  rmse_upper: measure,
  mae: measure,
  bias: measure.meta({ description: 'Mean of prediction - actual' }),
  r2: measure,
  cv_rmse: measure.meta({ description: 'In cross-validation, when the version was trained' }),
  post_stratified_rmse: measure.meta({
    description: 'Where label_bias is 0.1 or more: the RMSE if labels were spread over the predictions as all are',
  }),
  post_stratified_share: measure.meta({ description: 'Of all predictions, those like which some are labelled' }),
  label_bias: measure.meta({ description: 'Stability index of the labelled predictions against all' }),
  coverage: z
    .object({ level: z.number(), covered: z.int(), share: z.number(), lower: z.number(), upper: z.number() })
    .nullable()
    .meta({ description: 'How many truths lay in the intervals of the level, with a 95 % interval of that share' }),
  alarm: z.object({ state: z.enum(['ok', 'pending', 'firing']), since: time }),
  daily: z.array(daily),
});

export const quality = z
  .object({
    computed_at: time,
    waiting_cells: z.int().meta({ description: 'Days of versions that are yet to be computed anew' }),
    from: day,
    to: day,
    versions: z.array(versionQuality),
  })
  .meta({ description: 'The version that was served last comes first' });

export const driftQuery = z.strictObject({});

const status = z.enum(['ok', 'watch', 'drift', 'not_enough_rows', 'no_reference']);
const share = z.number().nullable();

const featureDrift = z.object({
  name: z.string(),
  status: status.meta({
    description:
      'drift: psi of 0.2 or more and p_adjusted of at most 0.01; watch: of 0.1; fewer than 200 rows say nothing',
  }),
  psi: measure.meta({ description: 'Stability index against the training data of the version' }),
  noise: measure.meta({ description: 'What psi is on average without any drift' }),
  p: measure.meta({ description: 'Two-sample chi-square on the same bins' }),
  p_adjusted: measure.meta({ description: 'After Benjamini and Hochberg, over all features and the prediction' }),
  mean_shift_sd: measure.meta({ description: 'In standard deviations of the training data' }),
  unseen_share: share.meta({ description: 'Categories that the training data lack' }),
  outside_share: share.meta({ description: 'Outside of the range of the training data' }),
  missing_share: share,
  effect: measure.meta({ description: "What the shift moves predictions by on average, in the target's unit" }),
});

export const drift = z
  .object({
    computed_at: time,
    versions: z.array(
      z.object({
        version: z.string(),
        status,
        window: z.object({ from: z.iso.datetime(), to: z.iso.datetime(), rows: z.int() }),
        alarm: z.object({ state: z.enum(['ok', 'pending', 'firing']), since: time, features: z.array(z.string()) }),
        prediction: featureDrift,
        features: z.array(featureDrift),
      }),
    ),
  })
  .meta({ description: 'Of the last 24 hours that are over, or more until there are 500 rows' });
